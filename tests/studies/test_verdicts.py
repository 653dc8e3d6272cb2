"""Verdicts on runs whose answers are known beforehand."""

import math
from dataclasses import replace

import pytest
from numpy.testing import assert_allclose

from probekit import studies
from probekit.studies.protocol import Comparison, Question, Statistic
from probekit.studies.verdicts import NO, NOT_TESTABLE, UNDECIDED, YES, answer
from tests.studies.material import attribution_run, features, probe_run
from tests.studies.test_protocols import write

STRONG, WEAK, NOISE = features("strong", 1.5), features("weak", 0.4), features("noise", 0.0, seed=1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    few = features("strong", 1.5, groups=8)
    return {
        "matrix": probe_run(folder, [STRONG, WEAK, NOISE], C=1.0),
        "domains": probe_run(folder, [STRONG], train="lama+ldm", test="all", across="domain", C=1.0),
        "attribution": attribution_run(folder, [STRONG, WEAK], C=1.0),
        "few": probe_run(folder, [few], C=1.0),
    }


def ask(runs, tmp_path, left, right, margin=0.0, lost=None, **question):
    protocol = studies.read(write(tmp_path))
    asked = Question("q", "Is it so?", (Comparison("left exceeds right", left, right, margin),), **question)
    protocol = replace(protocol, questions=(asked,))
    return answer(protocol, protocol.parameters, runs, lost or {}, replicates=400, seed=0)


def auc(model, cells="all", step="matrix", **where):
    return Statistic(step, "auc", cells, where={"model": model, **where})


def test_a_better_model_is_better_a_worse_one_is_not_and_equal_ones_are_undecided(runs, tmp_path):
    (better,) = ask(runs, tmp_path, auc("strong"), auc("weak"))
    (worse,) = ask(runs, tmp_path, auc("weak"), auc("strong"))
    (equal,) = ask(runs, tmp_path, auc("noise"), Statistic(value=0.5))
    assert (better.verdict, worse.verdict, equal.verdict) == (YES, NO, UNDECIDED)
    (claim,), (mirrored,) = better.claims, worse.claims
    assert claim.lo < claim.difference < claim.hi
    assert_allclose([claim.lo, claim.hi], [-mirrored.hi, -mirrored.lo])


def test_a_model_against_itself_differs_by_exactly_nothing(runs, tmp_path):
    (found,) = ask(runs, tmp_path, auc("strong"), auc("strong"))
    (claim,) = found.claims
    assert (found.verdict, claim.difference, claim.lo, claim.hi) == (UNDECIDED, 0.0, 0.0, 0.0)


def test_a_margin_is_asked_to_be_exceeded(runs, tmp_path):
    assert ask(runs, tmp_path, auc("strong"), Statistic(value=0.5), margin=0.1)[0].verdict == YES
    assert ask(runs, tmp_path, auc("strong"), Statistic(value=0.5), margin=0.49)[0].verdict in (NO, UNDECIDED)
    assert ask(runs, tmp_path, auc("strong"), Statistic(value=0.95), margin=-0.5)[0].verdict == YES


def test_the_value_of_a_side_is_the_mean_over_the_pairs_of_the_table(runs, tmp_path):
    import pandas as pd

    pairs = pd.read_parquet(runs["matrix"] / "tables" / "pairs.parquet")
    own = pairs[pairs["model"] == "weak"]
    for cells, rows in (("all", own), ("seen", own[own["seen"]]), ("unseen", own[~own["seen"]])):
        (found,) = ask(runs, tmp_path, auc("weak", cells), Statistic(value=0.0))
        assert_allclose(found.claims[0].left, rows["auc"].mean(), rtol=1e-12)
    (found,) = ask(runs, tmp_path, auc("weak", train="lama", test="ldm"), Statistic(value=0.0))
    assert_allclose(found.claims[0].left, own.query("train == 'lama' and test == 'ldm'")["auc"].item(), rtol=1e-12)


def test_pairs_across_domains_are_told_from_pairs_within_one(runs, tmp_path):
    same = ask(runs, tmp_path, auc("strong", "same-domain", "domains"), Statistic(value=0.0))[0].claims[0]
    other = ask(runs, tmp_path, auc("strong", "other-domain", "domains"), Statistic(value=0.0))[0].claims[0]
    assert (same.n_cells, other.n_cells) == (4, 4)  # two generators in each of two domains
    assert same.left != other.left


def test_attribution_is_compared_by_right_answers(runs, tmp_path):
    left, right = (
        Statistic("attribution", "balanced_acc", "other-domain", where={"model": name}) for name in ("strong", "weak")
    )
    (found,) = ask(runs, tmp_path, left, right)
    assert found.verdict == YES
    assert found.claims[0].n_cells == 2


def test_few_groups_leave_a_question_undecided_with_its_numbers(runs, tmp_path):
    (found,) = ask(runs, tmp_path, Statistic("few"), Statistic(value=0.5))
    (claim,) = found.claims
    assert (found.verdict, claim.reason) == (UNDECIDED, "too few groups for an interval")
    assert claim.left > 0.5
    assert math.isnan(claim.lo)
    assert "nan" not in claim.sentence


def test_a_step_without_a_run_makes_its_questions_not_testable_with_the_reason(runs, tmp_path):
    lost = {"missing": "there are no weights of it"}
    (found,) = ask(runs, tmp_path, Statistic("missing"), Statistic(value=0.5), lost=lost)
    assert found.verdict == NOT_TESTABLE
    assert "there are no weights of it" in found.claims[0].sentence
    assert ask(runs, tmp_path, auc("unknown"), Statistic(value=0.5))[0].verdict == NOT_TESTABLE


def test_a_question_is_asked_of_each_model_and_is_yes_when_all_of_its_claims_are(runs, tmp_path):
    protocol = studies.read(write(tmp_path))
    parameters = {"models": "strong,weak"}
    sides = auc("{model}"), Statistic(value=0.5)
    claims = (Comparison("above chance", *sides), Comparison("far above chance", *sides, margin=0.45))
    asked = Question("q", "Is it so of {model}?", claims, each="model in models")
    found = answer(replace(protocol, questions=(asked,)), parameters, runs, {}, replicates=200, seed=0)
    assert [one.of for one in found] == ["strong", "weak"]
    assert found[0].asks == "Is it so of strong?"
    assert [claim.verdict for claim in found[1].claims] == [YES, NO]
    assert found[1].verdict == NO
