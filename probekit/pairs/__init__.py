"""The train/test matrix: a probe for each training set, scored on the images of each test set.

settings.py     what is trained on what, and how
scoring.py      trials become numbers for every pair
result.py       what comes out
choosing.py     the best of several features, chosen on the training side
ensembles.py    several kinds of features together
own_features.py each training set in features of its own
robustness.py   the same probes asked about perturbed images
shots.py        ever more training images
divided.py      a matrix in parts, for workers that know nothing of each other
"""

from probekit.pairs.choosing import choose_features
from probekit.pairs.divided import MatrixPart, divide, divide_shots, most_parts, unite, unite_shots
from probekit.pairs.ensembles import Ensemble, score_ensemble
from probekit.pairs.own_features import score_own_features, together
from probekit.pairs.result import PairResult, pair_matrix
from probekit.pairs.robustness import CLEAN, Robustness, score_robustness
from probekit.pairs.scoring import Question, score_pairs
from probekit.pairs.settings import PairSettings
from probekit.pairs.shots import ShotCurve, score_shots

__all__ = [
    "CLEAN",
    "Ensemble",
    "MatrixPart",
    "PairResult",
    "PairSettings",
    "Question",
    "Robustness",
    "ShotCurve",
    "choose_features",
    "divide",
    "divide_shots",
    "most_parts",
    "pair_matrix",
    "score_ensemble",
    "score_own_features",
    "score_pairs",
    "score_robustness",
    "score_shots",
    "together",
    "unite",
    "unite_shots",
]
