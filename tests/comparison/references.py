"""Slow float64 references, written from the formulas of the papers, one sum over pairs after another."""

import numpy as np
from scipy import linalg


def gram(features):
    wide = features.astype(np.float64)
    return wide @ wide.T


def u_centred(kernel):
    """Székely and Rizzo 2014, eq. 2.7: another road to unbiased HSIC than Song's sums."""
    n = len(kernel)
    k = kernel - np.diag(np.diag(kernel))
    centred = k - k.sum(0) / (n - 2) - k.sum(1)[:, None] / (n - 2) + k.sum() / ((n - 1) * (n - 2))
    return centred - np.diag(np.diag(centred))


def song_hsic(k, h):
    """Song et al. 2012, eq. 5, term by term."""
    n, one = len(k), np.ones(len(k))
    k, h = k - np.diag(np.diag(k)), h - np.diag(np.diag(h))
    first = np.trace(k @ h)
    second = (one @ k @ one) * (one @ h @ one) / ((n - 1) * (n - 2))
    third = 2 / (n - 2) * (one @ k @ h @ one)
    return (first + second - third) / (n * (n - 3))


def biased_hsic(k, h):
    n = len(k)
    centre = np.eye(n) - 1 / n
    return np.trace(k @ centre @ h @ centre) / (n - 1) ** 2


def cka(a, b, hsic):
    k, h = gram(a), gram(b)
    return hsic(k, h) / np.sqrt(hsic(k, k) * hsic(h, h))


def frechet(a, b):
    """Heusel et al. 2017 with a matrix root of the product itself."""
    mean = np.sum((a.mean(0) - b.mean(0)) ** 2)
    of_a, of_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return mean + np.trace(of_a + of_b - 2 * np.real(linalg.sqrtm(of_a @ of_b)))


def mmd2(a, b, groups_a, groups_b, kernel):
    """Means over every two samples of different groups, in plain loops."""

    def mean(x, y, of_x, of_y):
        values = [kernel(p, q) for p, g in zip(x, of_x, strict=True) for q, h in zip(y, of_y, strict=True) if g != h]
        return np.mean(values)

    return mean(a, a, groups_a, groups_a) + mean(b, b, groups_b, groups_b) - 2 * mean(a, b, groups_a, groups_b)


def jackknife(value_of, groups_in_parts):
    """Leave-one-out for parts of equal size: Efron and Tibshirani 1993, eq. 11.5."""
    left = np.array([value_of(part) for part in groups_in_parts])
    m = len(left)
    return np.sqrt((m - 1) / m * np.sum((left - left.mean()) ** 2)), left
