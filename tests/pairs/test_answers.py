"""What the numbers of a matrix of pairs mean, against scikit-learn and separate runs."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from probekit import metrics, probes
from probekit.errors import ProbeError, UnknownNameError, UsageError
from probekit.metrics.thresholds import find_threshold
from probekit.pairs import PairSettings, score_pairs
from probekit.protocols import all_but_one
from tests.trials.studies import chosen, study, where, with_samples

QUICK = PairSettings(C=0.1, bootstrap=0)


def ask(features, **changes):
    return score_pairs(features, dataclasses.replace(QUICK, **changes))


def pair(result, train, test):
    return result.pairs.query("train == @train and test == @test").iloc[0]


def scores_of(result, train, **values):
    table = result.scores[result.scores["train"] == train]
    for name, value in values.items():
        table = table[table[name].isin([value] if isinstance(value, str) else value)]
    return table


def auc_of(reals, fakes):
    return roc_auc_score([0] * len(reals) + [1] * len(fakes), np.concatenate([reals["score"], fakes["score"]]))


THREE = {"generators": ("gan", "lama", "ldm")}


def test_a_test_set_is_seen_when_any_of_its_generators_was_learned_from():
    result = ask(study(**THREE), train="lama,lama+ldm,all-lama", test="gan,lama,ldm,gan+lama")
    seen = result.matrix("seen")
    assert seen.loc["lama"].tolist() == [False, True, False, True]
    assert seen.loc["lama+ldm"].tolist() == [False, True, True, True]
    assert seen.loc["all-lama"].tolist() == [True, False, True, True]


def test_macro_means_are_over_all_and_over_unseen_test_sets():
    result = ask(study(**THREE))
    for train in ("gan", "lama", "ldm"):
        own = result.pairs[result.pairs["train"] == train]
        macro = result.macro[result.macro["train"] == train].set_index("over")
        assert macro["n_tests"].tolist() == [3, 2]
        for name in metrics.names():
            assert_allclose(macro.loc["all", name], own[name].mean())
            assert_allclose(macro.loc["unseen", name], own.loc[own["test"] != train, name].mean())


def test_a_test_set_without_fakes_counts_in_no_mean():
    features = study(**THREE)
    result = ask(chosen(features, ~where(features, generator="ldm", split="test")), train="lama")
    assert result.macro.set_index("over")["n_tests"].to_dict() == {"all": 2, "unseen": 1}
    assert result.macro["auc"].notna().all()


def test_leave_one_out_has_one_unseen_test_set_a_row():
    features = study(**THREE)
    result = ask(features, train=all_but_one(features.samples))
    assert result.pairs["train"].unique().tolist() == ["all-gan", "all-lama", "all-ldm"]
    assert (result.matrix("seen").to_numpy() == ~np.eye(3, dtype=bool)).all()
    assert result.macro.query("over == 'unseen'")["n_tests"].tolist() == [1, 1, 1]
    auc = result.matrix("auc").to_numpy()
    assert_allclose(result.macro.query("over == 'unseen'")["auc"], np.diag(auc))
    without = chosen(features, ~where(features, generator="gan", split="train"))
    assert_allclose(ask(without, train="lama+ldm", test="gan").pairs["auc"], auc[0, 0])


def test_cross_auc_compares_the_test_fakes_with_the_test_reals_of_the_training_domain():
    features = study(domains=("celeba", "ffhq"))
    result = ask(features, train="lama@celeba,lama@celeba+lama@ffhq", test="lama@celeba,lama@ffhq,ldm@ffhq")
    for test in ("lama@celeba", "lama@ffhq", "ldm@ffhq"):
        generator, domain = test.split("@")
        own = scores_of(result, "lama@celeba")
        fakes = own[(own["generator"] == generator) & (own["domain"] == domain)]
        reals = own[own["generator"] == "real"]
        found = pair(result, "lama@celeba", test)
        assert_allclose(found["cross_auc"], auc_of(reals[reals["domain"] == "celeba"], fakes))
        assert_allclose(found["auc"], auc_of(reals[reals["domain"] == domain], fakes))
        both = scores_of(result, "lama@celeba+lama@ffhq")
        fakes = both[(both["generator"] == generator) & (both["domain"] == domain)]
        assert_allclose(
            pair(result, "lama@celeba+lama@ffhq", test)["cross_auc"], auc_of(both[both["label"] == 0], fakes)
        )
    moved = pair(result, "lama@celeba", "lama@ffhq")
    assert moved["cross_auc"] != moved["auc"]


def test_cross_auc_compares_within_folds_alone():
    features = study(domains=("celeba", "ffhq"))
    result = ask(features, train="lama@celeba", test="lama@ffhq", folds=4)
    own = scores_of(result, "lama@celeba")
    wins = pairs = 0.0
    for _, fold in own.groupby("part"):
        fakes = fold[(fold["generator"] == "lama") & (fold["domain"] == "ffhq")]
        reals = fold[(fold["label"] == 0) & (fold["domain"] == "celeba")]
        wins += auc_of(reals, fakes) * len(fakes) * len(reals)
        pairs += len(fakes) * len(reals)
    assert_allclose(result.pairs["cross_auc"][0], wins / pairs)


def test_across_domains_each_generator_is_trained_on_each_domain_and_tested_on_itself_alone():
    result = ask(study(domains=("celeba", "ffhq")), across="domain")
    assert result.pairs.groupby("train")["test"].apply(list).to_dict() == {
        "lama@celeba": ["lama@celeba", "lama@ffhq"],
        "lama@ffhq": ["lama@celeba", "lama@ffhq"],
        "ldm@celeba": ["ldm@celeba", "ldm@ffhq"],
        "ldm@ffhq": ["ldm@celeba", "ldm@ffhq"],
    }
    plain = ask(study(domains=("celeba", "ffhq")), train="lama@celeba", test="lama@ffhq")
    assert pair(result, "lama@celeba", "lama@ffhq")["auc"] == plain.pairs["auc"][0]
    assert result.trials["lama@celeba"].train.sum() == 72


def test_across_domains_all_leaves_out_a_domain_without_training_samples_and_notes_it():
    features = study(domains=("celeba", "ffhq"))
    fewer = chosen(features, ~where(features, generator="ldm", domain="ffhq", split="train"))
    result = ask(fewer, across="domain")
    assert "ldm@ffhq" not in set(result.pairs["train"])
    assert pair(result, "ldm@celeba", "ldm@ffhq")["n_fake"] == 12
    assert any(note.startswith("left out: ldm@ffhq has no fake samples") for note in result.notes)
    with pytest.raises(ProbeError, match="ldm@ffhq has no fake samples in the train split"):
        ask(fewer, train="ldm", across="domain")


def test_across_domains_refuses_what_leaves_no_pair():
    features = study(domains=("celeba", "ffhq"))
    with pytest.raises(UsageError, match="lama and ldm: across domains a generator is tested on itself"):
        ask(features, train="lama", test="ldm", across="domain")
    with pytest.raises(UnknownNameError, match="domain"):
        PairSettings(across="group")


def test_the_threshold_of_the_training_side_is_found_on_its_val_scores():
    features = study()
    result = ask(features, threshold="val-youden")
    (held,) = result.trials["lama"].held_out
    by_hand = find_threshold("val-youden", held.classes, held.decisions)
    assert by_hand != 0
    assert (scores_of(result, "lama")["threshold"] == by_hand).all()
    assert result.selection["threshold"]["values"]["lama"] == [by_hand]
    own = scores_of(result, "lama", generator=["real", "ldm"])
    called = own["score"] > by_hand
    assert pair(result, "lama", "ldm")["acc"] == np.mean(called == (own["label"] == 1))


@pytest.mark.parametrize("rule", ["val-eer", "val-youden", "val-fpr5"])
def test_out_of_fold_each_probe_has_a_threshold_of_its_own_from_held_out_training_samples(rule):
    result = ask(study(), train="lama", threshold=rule, folds=4)
    trial = result.trials["lama"]
    by_hand = [find_threshold(rule, held.classes, held.decisions) for held in trial.held_out]
    assert result.selection["threshold"]["values"]["lama"] == by_hand
    table = result.scores
    assert table.groupby("part")["threshold"].unique().explode().tolist() == by_hand
    assert result.selection["threshold"]["by"].endswith("on held-out training samples of the training side")


def test_a_threshold_of_videos_is_found_on_videos():
    """The highest of four frames is higher than a frame: a threshold of frames would call most reals fake."""
    features = study(photos=240, strength=1.0)
    group = [f"{generator}{photo // 4}" for generator in ("real", "lama", "ldm") for photo in range(240)]
    features = with_samples(features, group=group, split=np.tile(np.repeat(["train", "val", "test"], 80), 3))
    frames, videos = (ask(features, train="lama", threshold="val-fpr5", aggregate=how) for how in (None, "max"))
    assert pair(videos, "lama", "lama")["real_acc"] > 0.7
    assert videos.scores["threshold"].iloc[0] > frames.scores["threshold"].iloc[0]
    assert pair(videos, "lama", "lama")["n_frames"] == 160
    assert pair(videos, "lama", "lama")["n_test"] == 40


def test_a_threshold_without_samples_to_find_it_on_is_refused_in_one_line():
    features = with_samples(study(), group="same")
    fewer = chosen(features, ~where(features, split="val"))
    with pytest.raises(ProbeError, match=r"^threshold val-eer: lama has no samples of both classes to find it on"):
        ask(fewer, train="lama", threshold="val-eer")


def test_without_held_out_samples_of_both_classes_there_is_no_transfer_and_no_error():
    features = study()
    rare = where(features, generator="lama", split="train")
    one = chosen(features, (~rare | (np.cumsum(rare) == 1)) & ~where(features, split="val"))
    result = score_pairs(one, PairSettings(train="lama", bootstrap=0))
    assert result.transfer.empty
    assert result.pairs["auc"].notna().all()


def test_the_transfer_table_says_what_the_training_sides_threshold_costs_elsewhere():
    result = ask(study(domains=("celeba", "ffhq")), train="lama@celeba", test="lama@celeba,lama@ffhq")
    (held,) = result.trials["lama@celeba"].held_out
    threshold = find_threshold("val-eer", held.classes, held.decisions)
    table = result.transfer.set_index("test")
    for domain in ("celeba", "ffhq"):
        own = scores_of(result, "lama@celeba", domain=domain, generator=["real", "lama"])
        by_hand = balanced_accuracy_score(own["label"], own["score"] > threshold)
        assert_allclose(table.loc[f"lama@{domain}", "balanced_acc"], by_hand)
        best = max(balanced_accuracy_score(own["label"], own["score"] > cut) for cut in [-np.inf, *own["score"]])
        assert_allclose(table.loc[f"lama@{domain}", "loss_to_best"], best - by_hand)


def test_the_likelihood_ratio_is_the_log_odds_less_those_of_the_training_shares():
    features = study()
    few = chosen(features, ~(where(features, generator="real", split="train") & (np.arange(180) % 2 == 0)))
    table = scores_of(ask(few, train="lama", test="lama"), "lama")
    assert_allclose(table["llr"], table["score"] - np.log(36 / 18))
    assert_allclose(table["probability"], 1 / (1 + np.exp(-table["score"])))
    calibrated = scores_of(ask(few, train="lama", test="lama", calibration="platt"), "lama")
    assert_allclose(calibrated["llr"], calibrated["score"])  # 12 val samples of each class


@pytest.mark.parametrize("probe", ["prototype", "bank"])
def test_scores_that_mean_no_probability_have_none_until_they_are_calibrated(probe):
    plain = ask(study(), probe=probe, C=None, train="lama")
    assert {"probability", "llr"}.isdisjoint(plain.scores.columns)
    assert plain.pairs[["log_loss", "brier", "ece"]].isna().all(axis=None)
    assert plain.pairs["auc"].notna().all()
    platt = ask(study(), probe=probe, C=None, train="lama", calibration="platt")
    assert platt.scores[["probability", "llr"]].notna().all(axis=None)
    assert_allclose(platt.pairs["auc"], plain.pairs["auc"])
    assert platt.pairs["log_loss"].notna().all()


@pytest.mark.parametrize("probe", probes.names())
@pytest.mark.parametrize("folds", [0, 4])
def test_every_probe_answers_knows_its_own_generator_and_tells_how_it_was_chosen(probe, folds):
    result = score_pairs(study(strength=5.0), PairSettings(probe=probe, folds=folds, bootstrap=0))
    assert (np.diag(result.matrix("auc")) > 0.85).all()
    records = result.probe_records()
    assert len(records) == 2 * max(1, folds)
    assert all(record["converged"] for record in records)
    assert result.selection["parameter"] == probes.get(probe).parameter


def shuffled(seed, photos=100, **options):
    """Which of a photograph and its edit is called fake is left to chance."""
    features = study(seed, photos=photos, generators=("lama",), **options)
    swap = np.tile(np.random.default_rng(seed).random(photos) < 0.5, 2)
    label = features.samples["label"].to_numpy() ^ swap
    return with_samples(features, label=label, generator=np.where(label == 1, "lama", "real"))


@pytest.mark.parametrize("probe", probes.names())
def test_shuffled_labels_give_an_auc_of_one_half_within_its_interval_for_every_probe(probe):
    settings = PairSettings(probe=probe, bootstrap=100)
    pairs = pd.concat([score_pairs(shuffled(seed, photos=200), settings).pairs for seed in range(8)])
    within = pairs["auc_lo"].lt(0.5) & pairs["auc_hi"].gt(0.5)
    assert within.sum() >= 6  # at 95 % fewer once in 200 times
    assert (pairs["auc_hi"] - pairs["auc_lo"]).max() < 0.45


@pytest.mark.parametrize("probe", probes.names())
def test_shuffled_labels_are_at_chance_out_of_fold_for_every_probe(probe):
    settings = PairSettings(probe=probe, folds=5, bootstrap=0)
    pairs = pd.concat([score_pairs(shuffled(seed, splits=("train",)), settings).pairs for seed in range(8)])
    assert_allclose(pairs["auc"].mean(), 0.5, atol=0.05)


@pytest.mark.parametrize("probe", probes.names())
def test_a_planted_leak_is_counted_for_every_probe(probe):
    features = study()
    leaking = with_samples(features, group=features.samples["group"].replace(["photo4", "photo9"], "photo0"))
    result = score_pairs(leaking, PairSettings(probe=probe, train="lama", bootstrap=0))
    assert result.pairs["leaks"].tolist() == [1, 1]
    assert sum("a leak" in note for note in result.notes) == 2


@pytest.mark.parametrize("probe", probes.names())
def test_the_order_of_the_samples_and_the_names_of_the_generators_change_nothing_for_any_probe(probe):
    features = study()
    order = np.random.default_rng(1).permutation(len(features.samples))
    renamed = features.samples["generator"].replace({"lama": "zz", "ldm": "aa"})
    moved = chosen(with_samples(features, generator=renamed), order)
    settings = PairSettings(probe=probe, bootstrap=100)
    before, after = score_pairs(features, settings).pairs, score_pairs(moved, settings).pairs
    after = after.replace({"zz": "lama", "aa": "ldm"}).sort_values(["train", "test"], ignore_index=True)
    numbers = [name for name in before if before[name].dtype.kind == "f"]
    pd.testing.assert_frame_equal(before.drop(columns=numbers), after.drop(columns=numbers))
    assert_allclose(after[numbers], before[numbers], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("criterion", ["auc", "acc", "balanced_acc"])
def test_a_choice_by_another_criterion_is_recorded(criterion):
    result = ask(study(), C=None, criterion=criterion, train="lama", test="lama")
    assert result.selection["metric"] == criterion


def test_a_robust_choice_is_made_on_left_out_training_generators_and_recorded():
    result = ask(study(**THREE), C=None, selection="robust", train="lama+ldm", test="gan")
    assert result.selection["by"].startswith("2 left-out training generators")
    with pytest.raises(ProbeError, match=r"robust choice .* such as --train lama\+ldm"):
        ask(study(), C=None, selection="robust", train="lama")


def test_an_oracle_says_so_in_its_record_and_its_notes():
    result = ask(study(), C=None, selection="oracle", train="lama")
    assert result.oracle
    assert any(note.startswith("ORACLE") for note in result.notes)
    assert not ask(study(), train="lama").oracle


def test_a_group_that_spans_everything_is_refused_in_one_line():
    features = with_samples(study(), group="same")
    with pytest.raises(ProbeError, match=r"^C cannot be selected: all training samples are of one group"):
        ask(features, C=None)
    with pytest.raises(ProbeError, match="no fold can be held out"):
        ask(features, folds=5)


def test_one_class_in_the_train_split_is_refused_in_one_line():
    features = study()
    with pytest.raises(ProbeError, match=r"^lama has no real samples of its domain \('celeba'\) in the train split"):
        ask(chosen(features, ~where(features, split="train", generator="real")))


def test_more_shots_than_samples_are_refused_in_one_line():
    with pytest.raises(ProbeError, match=r"^50 shots: lama of celeba has 36 training samples"):
        ask(study(), train="lama", shots=50)
