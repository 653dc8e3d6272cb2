"""A matrix in parts is the matrix."""

import pickle

import pytest

from probekit.errors import ModelError, UnknownNameError
from probekit.pairs import PairSettings, divide, divide_shots, most_parts, score_pairs, score_shots, unite, unite_shots
from probekit.protocols import describe
from tests.trials.studies import feature_set, study

QUICK = PairSettings(C=0.1, bootstrap=100)


def travelled(thing):
    """As Ray brings it to another machine: pickled, and these bytes are our own."""
    return pickle.loads(pickle.dumps(thing))


def asked(parts, features):
    return [travelled(travelled(part)(features)) for part in parts]


def assert_same(found, whole):
    for table in ("pairs", "macro", "transfer", "scores"):
        assert getattr(found, table).equals(getattr(whole, table)), table
    assert found.to_json() == whole.to_json()
    assert list(found.trials) == list(whole.trials)


@pytest.mark.parametrize("of", [1, 2, 5])  # of two training sets
@pytest.mark.parametrize(
    "settings",
    [
        QUICK,
        PairSettings(bootstrap=0, folds=3, seeds=2, probe="ridge"),
        PairSettings(bootstrap=0, threshold="val-eer", calibration="platt", test="ldm"),
    ],
    ids=["quick", "seeds", "calibrated"],
)
def test_parts_together_are_the_answer_to_the_whole(settings, of):
    features = study()
    parts = divide(settings, of)
    assert len(parts) == of * settings.seeds
    found = unite(settings, describe(features.sources), asked(parts, features))
    assert_same(found, score_pairs(features, settings))


def test_shots_in_parts_are_the_curve():
    features, settings, shots = study(), PairSettings(C=0.1, bootstrap=0, seeds=2), [2, None]
    parts = divide_shots(settings, shots, 2)
    found = unite_shots(settings, shots, describe(features.sources), asked(parts, features))
    whole = score_shots(features, settings, shots)
    assert found.table.equals(whole.table)
    assert list(found.results) == ["2", "all"]
    for name, result in whole.results.items():
        assert_same(found.results[name], result)


def test_there_are_as_many_parts_as_training_sets_at_most():
    samples = study().samples
    assert most_parts(QUICK, samples) == 2
    assert most_parts(PairSettings(train="lama+ldm"), samples) == 1
    with pytest.raises(UnknownNameError, match="unknown generator 'nobody'"):
        most_parts(PairSettings(train="nobody"), samples)


def test_a_part_refuses_what_the_whole_refuses():
    features = study()
    broken = features.matrix.copy()
    broken[3, 1] = float("nan")
    with pytest.raises(ModelError):
        divide(QUICK, 2)[0](feature_set(features.samples, broken))
