"""Trials: the probes of one training set, one for each partition, and what they say of the samples.

Every question that trains probes is made of trials.

settings.py     how probes are trained and judged
training.py     choose on held-out samples, fit, calibrate, score
streamed.py     the same where the features are larger than memory
units.py        what is scored as one: an image, or all frames of a video
judging.py      what binary scores are worth on each test set
"""

from probekit.trials.judging import (
    BinaryScores,
    judge,
    learned,
    macro_means,
    members_of,
    remarks_on_pairs,
    remarks_on_probes,
)
from probekit.trials.settings import TrialSettings
from probekit.trials.streamed import memory_needed, run_streamed_trials
from probekit.trials.training import HeldOut, TrainingSet, Trial, given_trial, run_trials
from probekit.trials.units import SAMPLE_COLUMNS, Units, units_of

__all__ = [
    "SAMPLE_COLUMNS",
    "BinaryScores",
    "HeldOut",
    "TrainingSet",
    "Trial",
    "TrialSettings",
    "Units",
    "given_trial",
    "judge",
    "learned",
    "macro_means",
    "members_of",
    "memory_needed",
    "remarks_on_pairs",
    "remarks_on_probes",
    "run_streamed_trials",
    "run_trials",
    "units_of",
]
