"""What one probe learns from, what its choices are made on, and what it scores."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from probekit.errors import ProbeError
from probekit.protocols import draw_shots, partitions, turns
from tests.trials.studies import study, where


def table(rows):
    """Samples from (generator, domain, split, group) tuples."""
    frame = pd.DataFrame(rows, columns=["generator", "domain", "split", "group"])
    label = (frame["generator"] != "real").astype(int)
    return frame.assign(label=label, path=[f"{i}.png" for i in range(len(frame))])


def taken(samples, selection="cv", folds=0, classes=None, **changes):
    every = np.ones(len(samples), dtype=bool)
    classes = samples["label"].to_numpy() if classes is None else classes
    divided = partitions(samples, folds, seed=0)
    return turns(samples, classes, every, divided, scored=every, selection=selection, seed=0, **changes)


def parts(turn, division):
    """Numbers of the samples that a division learns from, and of those that it scores."""
    learned = turn.seen[division.learned(len(turn.seen))]
    return learned, turn.seen[division.test]


manifests = st.lists(
    st.tuples(
        st.sampled_from(["real", "lama", "ldm"]),
        st.just("x"),
        st.just("train"),
        st.integers(0, 11).map("g{}".format),
    ),
    min_size=8,
    max_size=90,
)


@pytest.mark.parametrize(("selection", "by_group"), [("cv", False), ("cv", True), ("robust", False)])
@pytest.mark.parametrize("folds", [0, 3])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(rows=manifests)
def test_no_division_learns_from_a_group_that_it_scores_and_every_one_learns_from_every_class(
    selection, by_group, folds, rows
):
    samples = table(rows)
    assume(samples["group"].nunique() > 1)
    if selection == "robust":  # of training sets with two generators, on either side of each fold
        assume((samples[samples["label"] == 1].groupby("generator")["group"].nunique() > 5).sum() == 2)
    found = taken(samples, selection, folds, by_group=by_group)
    groups, labels = samples["group"].to_numpy(), samples["label"].to_numpy()
    makers = samples["generator"].to_numpy()
    for turn in found:
        assert not turn.train[turn.test].any()
        assert turn.train[turn.seen].all()
        for division in turn.divisions:
            learned, scored = parts(turn, division)
            assert set(groups[learned]).isdisjoint(groups[scored])
            assert set(labels[learned]) == set(labels[turn.train])
            if by_group:
                assert len(set(groups[scored])) == 1
            if selection == "robust":
                left_out = set(makers[scored]) - {"real"}
                assert len(left_out) <= 1
                assert left_out.isdisjoint(makers[learned])


@pytest.mark.parametrize(("selection", "split"), [("val", "val"), ("oracle", "test")])
def test_choices_on_val_and_by_oracle_learn_from_train_alone_and_are_made_on_their_split_alone(selection, split):
    samples = study().samples
    (turn,) = taken(samples, selection)
    (division,) = turn.divisions
    learned, scored = parts(turn, division)
    assert set(samples["split"].iloc[learned]) == {"train"}
    assert set(samples["split"].iloc[scored]) == {split}
    assert len(scored) == samples["split"].eq(split).sum()
    assert set(samples["group"].iloc[learned]).isdisjoint(samples["group"].iloc[scored])
    assert turn.by.startswith("ORACLE") == (selection == "oracle")


def test_val_samples_of_a_group_that_is_trained_on_choose_nothing():
    samples = study().samples
    leaking = samples.assign(group=samples["group"].replace("photo3", "photo0"))  # val, train
    assert samples["split"].iloc[3] == "val"
    (turn,) = taken(leaking, "val")
    assert not turn.val[leaking["group"] == "photo0"].any()
    assert turn.val.sum() == samples["split"].eq("val").sum() - 3
    assert set(leaking["group"][turn.val]).isdisjoint(leaking["group"][turn.train])


def test_each_generator_left_out_is_judged_on_its_own_fakes_and_every_fold_of_reals():
    samples = study().samples
    (turn,) = taken(samples, "robust")
    assert turn.by == "2 left-out training generators, each on 5 folds of left-out groups"
    scored = [samples.iloc[parts(turn, division)[1]] for division in turn.divisions]
    for name in ("lama", "ldm"):
        own = pd.concat([part for part in scored if name in set(part["generator"])])
        assert own["generator"].value_counts().to_dict() == {"real": 36, name: 36}
        assert own["path"].is_unique


def test_a_robust_choice_needs_two_training_generators():
    samples = study(generators=("lama",)).samples
    with pytest.raises(ProbeError, match="train one binary probe on two or more"):
        taken(samples, "robust")


def test_one_division_a_group_where_a_probe_asks_for_that():
    samples = study().samples
    (turn,) = taken(samples, by_group=True)
    assert len(turn.divisions) == 36
    assert turn.by == "leave-one-group-out on train (36 groups)"


def test_folds_whose_absence_leaves_one_class_are_left_out_and_counted():
    rows = [("real", "x", "train", f"g{i}") for i in range(9)] + [("lama", "x", "train", "g9")] * 2
    (turn,) = taken(table(rows))
    assert turn.by == "4-fold group cross-validation on train (1 of 5 folds left out: without them a class is missing)"
    assert len(turn.divisions) == 4


@pytest.mark.parametrize("selection", ["cv", "robust"])
def test_a_group_that_spans_everything_leaves_nothing_to_choose_on_and_says_why(selection):
    samples = study().samples.assign(group="same")
    (turn,) = taken(samples[samples["split"] == "train"].reset_index(drop=True), selection)
    assert turn.divisions == ()
    assert "one group" in turn.by or "a class is missing" in turn.by


def test_groups_of_one_class_each_leave_nothing_to_choose_on():
    samples = study().samples.assign(group=lambda rows: rows["label"].astype(str))
    (turn,) = taken(samples)
    assert turn.divisions == ()
    assert turn.by == "whichever groups are held out, a class is missing from the rest"


def test_fewer_groups_than_folds_make_a_fold_of_each():
    samples = study(photos=3, splits=("train",)).samples
    assert taken(samples)[0].by == "3-fold group cross-validation on train"


def test_a_split_takes_the_real_images_of_the_domains_of_its_own_fakes():
    rows = [("real", "celeba", s, f"{s}{i}") for s in ("train", "val", "test") for i in range(3)]
    rows += [("real", "ffhq", s, f"{s}{i}") for s in ("train", "val", "test") for i in range(3)]
    rows += [("ldm", "celeba", s, f"{s}0") for s in ("train", "val")] + [("ldm", "ffhq", "test", "test0")]
    samples = table(rows)
    (turn,) = taken(samples)
    assert set(samples["domain"][turn.train]) == {"celeba"}
    assert set(samples["domain"][turn.val]) == {"celeba"}


@settings(max_examples=25, deadline=None)
@given(few=st.integers(1, 36), more=st.integers(1, 36), seed=st.integers(0, 9))
def test_fewer_shots_are_part_of_more_and_each_generator_has_as_many(few, more, seed):
    few, more = sorted((few, more))
    samples = study().samples
    train = samples["split"].eq("train").to_numpy()
    small, large = (draw_shots(samples, train, shots, seed) for shots in (few, more))
    assert not (small & ~large).any()
    assert not (large & ~train).any()
    assert samples[small]["generator"].value_counts().to_dict() == {"real": few, "lama": few, "ldm": few}


def test_shots_are_drawn_by_group_so_that_the_edits_come_with_their_photographs():
    samples = study().samples
    drawn = samples[draw_shots(samples, samples["split"].eq("train").to_numpy(), 5, seed=0)]
    assert drawn["group"].value_counts().eq(3).all()


def test_shots_of_each_generator_come_from_each_domain():
    samples = study(domains=("celeba", "ffhq")).samples
    drawn = samples[draw_shots(samples, samples["split"].eq("train").to_numpy(), 4, seed=0)]
    assert drawn.groupby(["domain", "generator"]).size().eq(4).all()
    assert len(drawn) == 24


def test_other_seeds_draw_other_shots():
    samples = study().samples
    train = samples["split"].eq("train").to_numpy()
    assert not np.array_equal(draw_shots(samples, train, 5, seed=0), draw_shots(samples, train, 5, seed=1))


def test_shots_of_frames_of_one_file_do_not_depend_on_the_order_of_the_rows():
    features = study(photos=20, splits=("train",))
    video = [f"video{i // 10}.mp4" for i in range(len(features.samples))]
    samples = features.samples.assign(path=video, group=video, frame=np.arange(len(video)) % 10)
    order = np.random.default_rng(0).permutation(len(samples))
    train = np.ones(len(samples), dtype=bool)
    straight = draw_shots(samples, train, 3, seed=0)
    shuffled = draw_shots(samples.iloc[order].reset_index(drop=True), train, 3, seed=0)
    assert np.array_equal(shuffled, straight[order])


def test_more_shots_than_samples_are_refused_with_the_generator_named():
    features = study()
    samples = features.samples[~(where(features, generator="ldm", split="train"))].reset_index(drop=True)
    few = features.samples[where(features, generator="ldm", split="train")].head(2)
    samples = pd.concat([samples, few], ignore_index=True)
    with pytest.raises(ProbeError, match=r"^5 shots: ldm of celeba has 2 training samples\. Ask for fewer, or all\.$"):
        taken(samples, shots=5)


def test_shots_are_drawn_from_each_training_part_when_samples_are_scored_out_of_fold():
    samples = study().samples
    for turn in taken(samples, folds=4, shots=3):
        assert turn.train.sum() == 9
        assert not turn.train[turn.test].any()


def test_the_table_of_samples_is_left_as_it_is():
    features = study()
    before = features.samples.copy()
    taken(features.samples, "robust", shots=7)
    pd.testing.assert_frame_equal(features.samples, before)
