"""Class-level ranks and the four votes against one query at a time, in float64."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit.retrieval import retrieve
from tests.retrieval.clouds import QUICK, clouds


def searches(fs, folds):
    """For each query its class, the classes of its admissible rows, their vectors and their cosines."""
    x = fs.matrix.astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    samples = fs.samples
    asked = samples.index if folds else samples.index[samples.split == "test"]
    for q in asked:
        allowed = (samples.group != samples.group[q]) & (folds or samples.split == "train")
        rows = np.flatnonzero(allowed)
        yield samples.generator[q], samples.generator.to_numpy()[rows], x[rows], x[rows] @ x[q], x[q]


def class_scores(classes, vectors, cosines, query, kind):
    found = {}
    for name in np.unique(classes):
        own = np.sort(cosines[classes == name])[::-1]
        if kind == "centroid":
            centre = vectors[classes == name].mean(axis=0)
            found[name] = centre @ query / np.linalg.norm(centre)
        else:
            found[name] = own[: 1 if kind == "max" else int(kind[3:])].mean()
    return found


@pytest.mark.parametrize("folds", [0, 5])
@pytest.mark.parametrize("kind", ["max", "top3", "top1000", "centroid"])
def test_classes_are_ranked_by_their_nearest_rows_or_their_centroid(kind, folds):
    fs = clouds(spread=1.2)
    closed = retrieve(fs, replace(QUICK, class_rank=kind, folds=folds)).closed
    places = []
    for truth, classes, vectors, cosines, query in searches(fs, folds):
        scores = class_scores(classes, vectors, cosines, query, kind)
        places.append(sum(score > scores[truth] for score in scores.values()))
    expected = [np.mean(np.array(places) < k) for k in (1, 5, 10)]
    assert_allclose([closed.class_rank[k] for k in (1, 5, 10)], expected)
    assert 0.3 < expected[0] < 1


@pytest.mark.parametrize("vote", ["soft", "sum", "majority", "prototype"])
def test_each_vote_is_its_formula(vote):
    fs = clouds(spread=1.2)
    result = retrieve(fs, replace(QUICK, vote=vote, k=7))
    answers, shares = [], []
    for _, classes, vectors, cosines, query in searches(fs, 0):
        near = np.argsort(-cosines)[:7]
        weight = {"soft": np.exp(cosines / 0.07), "sum": cosines, "majority": np.ones(len(cosines))}.get(vote)
        if weight is None:
            given = class_scores(classes, vectors, cosines, query, "centroid")
        else:
            total = weight[near].sum() if vote == "soft" else 7
            given = {name: weight[near][classes[near] == name].sum() / total for name in classes[near]}
        nearest = {name: cosines[classes == name].max() for name in given}
        answers.append(max(given, key=lambda name: (round(given[name], 9), nearest[name])))
        shares.append(max(given.values()))
    assert list(result.queries["knn_generator"]) == answers
    assert_allclose(result.queries["knn_score"], shares, rtol=1e-4)


def test_the_rank_curve_holds_the_numbers_of_the_table_and_never_falls():
    result = retrieve(clouds(spread=1.2), replace(QUICK, class_rank="centroid"))
    curve = result.rank_curve.set_index(["level", "k"])["rate"]
    assert_allclose([curve["item", k] for k in (1, 5, 10)], [result.closed.rank[k] for k in (1, 5, 10)])
    assert curve["class", 1] == result.closed.class_rank[1]
    assert curve["class", 4] == 1
    assert ("class", 5) not in curve.index
    for _, points in result.rank_curve.groupby("level"):
        assert (np.diff(points["rate"]) >= 0).all()


def test_map_at_r_and_r_precision_are_those_of_one_query_at_a_time():
    fs = clouds(spread=1.2)
    closed = retrieve(fs, QUICK).closed
    at_r, share = [], []
    for truth, classes, _, cosines, _ in searches(fs, 0):
        R = int((classes == truth).sum())
        hits = (classes[np.argsort(-cosines)][:R] == truth).astype(float)
        at_r.append(np.sum(hits * np.cumsum(hits) / np.arange(1, R + 1)) / R)
        share.append(hits.mean())
    assert_allclose([closed.map_at_r, closed.r_precision], [np.mean(at_r), np.mean(share)], rtol=1e-9)
