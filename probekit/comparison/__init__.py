"""Comparison: how alike features are, which generators they tell apart and where the generators lie to each other.

samples.py          which samples are compared: generators, pairs of them, samples that all features have
intervals.py        intervals by leaving out one part of the groups after another
representations.py  features of the same samples, loaded when they are asked for
hsic.py             dependence of two kernels from sums over their Gram matrices
gram.py             those sums, over tiles of Gram matrices or from cross-moments of the columns
cka.py              linear CKA between every two kinds of features
separability.py     the cross-validated AUC of a linear probe for every two generators
frechet.py          Fréchet distance of two samples
mmd.py              maximum mean discrepancy of two samples
distances.py        both for every two generators, with halves of each as the noise floor
verdicts.py         what came out, in sentences
"""

from probekit.comparison.cka import CkaResult, CkaSettings, compare_features
from probekit.comparison.distances import DistanceResult, DistanceSettings, measure_distances
from probekit.comparison.frechet import frechet_distance
from probekit.comparison.mmd import mmd2
from probekit.comparison.separability import SeparabilityResult, SeparabilitySettings, separate

__all__ = [
    "CkaResult",
    "CkaSettings",
    "DistanceResult",
    "DistanceSettings",
    "SeparabilityResult",
    "SeparabilitySettings",
    "compare_features",
    "frechet_distance",
    "measure_distances",
    "mmd2",
    "separate",
]
