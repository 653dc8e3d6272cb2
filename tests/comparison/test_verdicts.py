"""Sentences: the pairs at both ends, and numbers as people write them."""

import math

import pandas as pd
import pytest

from probekit.comparison.verdicts import ends, models_of, short_names, spell, with_interval


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (0.412, ".41"), (-0.034, "-.034"), (1.0, "1.00"), (0.0578, ".058"), (0.00012, ".0001"), (1e-9, "0"), (0.0, "0"),
        (-1e-9, "0"), (3.456, "3.46"), (12.34, "12.3"), (1234.5, "1,234"), (0.0999, ".10"), (10.06, "10.1"),
    ],
)  # fmt: skip
def test_numbers_are_short(value, spelled):
    assert spell(value) == spelled


def test_an_interval_stands_beside_its_value_if_there_is_one():
    assert with_interval(0.41, (0.38, 0.44)) == ".41 [.38, .44]"
    assert with_interval(0.41, (math.nan, math.nan)) == ".41"


def rows(*values):
    table = pd.DataFrame(values, columns=["a", "b", "auc", "auc_lo", "auc_hi"])
    return ends(table, "auc", ("hardest", "easiest"), "AUC", null=0.5)


def test_both_ends_are_named_and_what_shows_no_difference_says_so():
    said = rows(("r", "x", 0.9, 0.8, 1.0), ("r", "y", 0.52, 0.45, 0.6), ("x", "y", 0.7, 0.6, 0.8))
    assert said == "hardest: r and y, AUC .52 [.45, .60] (no difference shown); easiest: r and x, AUC .90 [.80, 1.00]"


def test_a_single_pair_has_no_ends_and_undefined_ones_do_not_count():
    nothing = ("r", "y", math.nan, math.nan, math.nan)
    assert rows(("r", "x", 0.9, 0.8, 1.0), nothing) == "r and x, AUC .90 [.80, 1.00]"
    assert rows(nothing) == ""


def test_equal_pairs_are_told_as_one():
    assert rows(("r", "x", 1.0, 1.0, 1.0), ("r", "y", 1.0, 1.0, 1.0)) == "all 2 pairs alike, AUC 1.00"


def test_the_model_is_what_stands_before_the_tap():
    names = ["clip#cls@3", "timm:vit#pool · resize224", "npr#blocks+srm#blocks"]
    assert list(models_of(names).values()) == ["clip", "timm:vit", "npr+srm"]


def test_taps_of_one_model_are_called_by_their_taps_and_nothing_else_is():
    assert short_names(["clip#cls@3", "clip#proj"]) == (
        {"clip#cls@3": "cls@3", "clip#proj": "proj"},
        "tap of clip",
    )
    for names in (["clip#cls@3", "npr#blocks"], ["npr#a+npr#b", "npr#a+npr#c"], ["clip#cls · x", "clip#cls · y"]):
        assert short_names(names) == ({name: name for name in names}, "features")
