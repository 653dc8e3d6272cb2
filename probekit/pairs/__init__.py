"""The train/test matrix: a probe for each training set, scored on the images of each test set.

settings.py     what is trained on what, and how
scoring.py      trials become numbers for every pair
result.py       what comes out
"""

from probekit.pairs.result import PairResult, pair_matrix
from probekit.pairs.scoring import score_pairs
from probekit.pairs.settings import PairSettings

__all__ = ["PairResult", "PairSettings", "pair_matrix", "score_pairs"]
