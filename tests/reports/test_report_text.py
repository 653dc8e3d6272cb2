"""Numbers, matrices and words of the report."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit.reports import text
from probekit.reports.matrices import confusion_matrix, pair_matrix, selection_lines, spread, tint


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.93249, "0.932"), (1.0, "1.000"), (0, "0"), (0.0, "0.000"),
        (12345, "12,345"), (44.63, "44.6"), (1e-5, "1.00e−05"),
        (-0.25, "−0.250"), (None, "–"), (math.nan, "–"),
        (math.inf, "∞"), (True, "yes"), ("unresolvable", "unresolvable"),
        (np.float32(0.5), "0.500"), (np.int64(1234), "1,234"), (np.nan, "–"),
    ],
)  # fmt: skip
def test_measured_numbers_have_three_decimals(value, shown):
    assert text.number(value) == shown


@given(st.floats(-1e300, 1e300))
@settings(max_examples=50, deadline=None)
def test_any_number_keeps_its_sign_and_size(value):
    shown = float(text.number(value).replace(",", "").replace("−", "-"))
    assert shown == pytest.approx(value, rel=0.051, abs=5e-4)


def test_settings_are_shown_as_they_were_given():
    assert (
        text.exact({"C": 0.1, "tol": 1e-5, "taps": ["cls", "mean"], "seed": None})
        == "C: 0.1; Tol: 1e-05; Taps: cls, mean; Seed: –"
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.24, "0.2 s"), (13.4, "13 s"), (125, "2 min 5 s"), (7500, "2 h 5 min"), (None, "–")],
)
def test_durations_have_at_most_two_units(seconds, shown):
    assert text.duration(seconds) == shown


def test_long_lists_say_how_many_were_left_out():
    assert text.listing(["a", "b", "c"]) == "a, b and c"
    assert text.listing([str(i) for i in range(10)], most=3) == "0, 1, 2 and 7 more"


def test_tints_are_above_chance_for_good_values_and_below_it_for_bad_ones():
    assert tint("auc", 0.5) == tint("eer", 0.5) == 0
    assert tint("auc", 0.9) == pytest.approx(0.8)
    assert tint("eer", 0.1) == pytest.approx(0.8)
    assert tint("auc", 0.31) == pytest.approx(-0.38)
    assert tint("auc", None) is None


def test_pairs_that_were_not_asked_are_empty_cells():
    matrix = pair_matrix([{"train": "a", "test": "b", "auc": 0.7}, {"train": "c", "test": "a", "auc": 0.6}])
    assert matrix.rows == ["a", "c"]
    assert matrix.columns == ["a", "b"]
    assert matrix.layers[0].text == [["–", "0.700"], ["0.600", "–"]]
    assert matrix.details[0][0] == [("Result", "not asked")]


def test_the_selection_of_one_training_generator_belongs_to_its_row():
    pairs = [{"train": "a", "test": "a", "auc": 0.7}, {"train": "b", "test": "a", "auc": 0.6}]
    matrix = pair_matrix(pairs, {"a": {"C": 0.1}, "b": {"C": 10.0}})
    assert ("Selection: C", "0.1") in matrix.details[0][0]
    assert ("Selection: C", "10") in matrix.details[1][0]


def test_a_selection_record_is_told_in_short_lines():
    record = {
        "by": "5 folds by group inside the training samples",
        "grid": [10.0**k for k in range(-6, 6)],
        "C": {"a": [0.1, 0.1, 1.0], "b": [10.0]},
        "threshold": {"name": "half", "by": "fixed in advance"},
        "probes": [{"train": "a", "gradient": 1e-9}],
    }
    shared = [("By", record["by"]), ("Grid", "12 values, 1e-06 to 100000"), ("Threshold", "half")]
    assert selection_lines(record) == shared
    assert selection_lines(record, "a") == [*shared[:2], ("C", "0.1, 1"), shared[2]]
    assert selection_lines(None) == []


def test_the_spread_keeps_the_diagonal_apart():
    pairs = [
        {"train": a, "test": b, "auc": 0.9 if a == b else 0.4 + i / 10}
        for i, (a, b) in enumerate(["aa", "ab", "ba", "bb"])
    ]
    found = spread(pairs)
    assert found.same_median == 0.9
    assert found.across_median == pytest.approx(0.55)
    assert found.worst == pairs[1]
    assert spread([{"train": "a", "test": "b", "auc": None}]).across_median is None


def test_wrong_answers_are_tinted_apart_from_right_ones():
    layer = confusion_matrix(["real", "a"], ["real", "a"], [[8, 2], [0, 0]]).layers[0]
    assert layer.tint == [[0.8, -0.2], [0, 0]]
    assert layer.text == [["8", "2"], ["0", "0"]]
