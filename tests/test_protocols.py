"""Rows for questions: generators and their real images, splits, folds, leaks."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit.errors import ModelError, ProbeError, UnknownNameError, UsageError
from probekit.protocols import (
    Partition,
    Pool,
    across_domains,
    all_but_one,
    evaluation,
    fakes,
    generators,
    group_folds,
    leaked,
    learned_from,
    members,
    parse_pools,
    partitions,
    require_finite,
    trainable_pools,
    turns,
)


def table(*rows):
    """Samples from (generator, domain, split, group) tuples."""
    frame = pd.DataFrame(rows, columns=["generator", "domain", "split", "group"])
    frame["label"] = (frame["generator"] != "real").astype(int)
    frame["path"] = [f"{i}.png" for i in range(len(frame))]
    return frame


SAMPLES = table(
    ("real", "celeba", "train", "a"),
    ("real", "ffhq", "train", "b"),
    ("lama", "celeba", "train", "a"),
    ("ldm", "celeba", "train", "a"),
    ("ldm", "ffhq", "test", "c"),
    ("gan", "coco", "train", "d"),
)
EVERYWHERE = np.ones(len(SAMPLES), dtype=bool)


@pytest.mark.parametrize(
    ("text", "pools"),
    [
        ("lama", [Pool.of("lama")]),
        ("lama, ldm", [Pool.of("lama"), Pool.of("ldm")]),
        ("ldm+lama", [Pool(("ldm", "lama"), "ldm+lama")]),
        ("lama+ldm,gan", [Pool.of("lama", "ldm"), Pool.of("gan")]),
        ("all", [Pool.of("gan"), Pool.of("lama"), Pool.of("ldm")]),
        ("all-lama", [Pool(("gan", "ldm"), "all-lama")]),
        ("ldm@celeba", [Pool.of("ldm@celeba")]),
        ("ldm@celeba+gan,ldm", [Pool.of("ldm@celeba", "gan"), Pool.of("ldm")]),
        ("lama+lama", [Pool(("lama",), "lama")]),
        ("lama,all", [Pool.of("lama"), Pool.of("gan"), Pool.of("ldm")]),
    ],
)
def test_generators_are_read_as_they_are_typed(text, pools):
    assert parse_pools(text, SAMPLES) == pools


def test_a_generator_whose_name_holds_a_plus_is_found_whole():
    samples = table(("lama+ldm", "x", "train", "a"), ("real", "x", "train", "b"))
    assert parse_pools("lama+ldm", samples) == [Pool(("lama+ldm",), "lama+ldm")]


def test_an_unknown_generator_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'lama'"):
        parse_pools("lamma", SAMPLES)
    with pytest.raises(UnknownNameError, match="Did you mean 'lama'"):
        parse_pools("ldm+lamma", SAMPLES)


@pytest.mark.parametrize("text", ["", "lama,", "real", "lama+real"])
def test_a_missing_name_and_real_are_usage_errors(text):
    with pytest.raises(UsageError):
        parse_pools(text, SAMPLES)


def test_an_unknown_domain_or_generator_to_leave_out_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"domain of ldm.*Did you mean 'celeba'"):
        parse_pools("ldm@celebA", SAMPLES)
    with pytest.raises(UnknownNameError, match=r"domain of lama.*'ffhq'"):
        parse_pools("lama@ffhq", SAMPLES)
    with pytest.raises(UnknownNameError, match=r"leave out.*Did you mean 'lama'"):
        parse_pools("all-lamma", SAMPLES)


@pytest.mark.parametrize("text", ["all-real", "all-ldm@celeba", "all-lama+ldm"])
def test_one_generator_is_left_out_as_a_whole_or_not_at_all(text):
    with pytest.raises(UsageError):
        parse_pools(text, SAMPLES)


def test_a_generator_whose_name_looks_like_a_pool_is_found_whole():
    samples = table(("all-lama", "x", "train", "a"), ("lama@x", "y", "train", "b"), ("lama", "x", "train", "c"))
    assert parse_pools("all-lama,lama@x", samples) == [Pool.of("all-lama"), Pool.of("lama@x")]
    assert fakes(samples, Pool.of("lama@x")).tolist() == [False, True, False]


def test_leaving_nothing_is_refused():
    samples = SAMPLES[SAMPLES["generator"].isin(["real", "lama"])].reset_index(drop=True)
    with pytest.raises(ProbeError, match="all-lama leaves nothing: lama is the only generator"):
        parse_pools("all-lama", samples)
    with pytest.raises(ProbeError, match="at least two: the samples have lama"):
        all_but_one(samples)


def test_each_generator_in_turn_is_left_out():
    assert all_but_one(SAMPLES) == "all-gan,all-lama,all-ldm"
    pools = parse_pools(all_but_one(SAMPLES), SAMPLES)
    assert [set(pool.makers) for pool in pools] == [{"lama", "ldm"}, {"gan", "ldm"}, {"gan", "lama"}]


def test_across_domains_each_generator_has_a_pool_for_each_of_its_domains():
    assert across_domains("all", SAMPLES) == "gan@coco,lama@celeba,ldm@celeba,ldm@ffhq"
    assert across_domains("ldm", SAMPLES) == "ldm@celeba,ldm@ffhq"
    (celeba, ffhq) = parse_pools(across_domains("ldm", SAMPLES), SAMPLES)
    assert members(SAMPLES, celeba, EVERYWHERE).tolist() == [True, False, False, True, False, False]
    assert members(SAMPLES, ffhq, EVERYWHERE).tolist() == [False, True, False, False, True, False]


def test_across_domains_generators_taken_together_have_a_pool_for_each_domain_of_any():
    assert across_domains("lama+ldm", SAMPLES) == "lama@celeba+ldm@celeba,ldm@ffhq"
    assert across_domains("all-lama", SAMPLES) == "ldm@celeba,gan@coco,ldm@ffhq"


def test_across_domains_takes_generators_without_their_domains():
    with pytest.raises(UsageError, match="without their domains"):
        across_domains("ldm@celeba", SAMPLES)


def test_all_of_a_domain_is_a_pool_for_each_generator_that_has_fakes_there():
    assert [pool.name for pool in parse_pools("all@celeba", SAMPLES)] == ["lama@celeba", "ldm@celeba"]
    with pytest.raises(UnknownNameError, match="domain with fakes"):
        parse_pools("all@nowhere", SAMPLES)


def test_generators_of_one_domain_each_cannot_be_tested_across_domains():
    with pytest.raises(ProbeError, match="no generator has fakes in two domains"):
        across_domains("lama,gan", SAMPLES)


def test_samples_without_fakes_ask_no_question():
    with pytest.raises(ProbeError, match="no fake sample"):
        parse_pools("all", SAMPLES[SAMPLES["label"] == 0])


def test_generators_are_those_of_the_fakes_sorted():
    assert generators(SAMPLES) == ["gan", "lama", "ldm"]


def test_real_samples_come_from_the_domains_of_the_fakes():
    assert members(SAMPLES, Pool.of("lama"), EVERYWHERE).tolist() == [True, False, True, False, False, False]
    assert members(SAMPLES, Pool.of("ldm"), EVERYWHERE).tolist() == [True, True, False, True, True, False]


def test_domains_count_only_inside_the_rows_meant():
    train = (SAMPLES["split"] == "train").to_numpy()
    assert members(SAMPLES, Pool.of("ldm"), train).tolist() == [True, False, False, True, False, False]


def test_a_generator_without_real_images_of_its_domain_says_what_to_add():
    with pytest.raises(ProbeError, match=r"gan has no real samples of its domain \('coco'\).*add rows"):
        trainable_pools("gan", SAMPLES, partitions(SAMPLES, 0, 0), folds=0)


def test_all_leaves_out_what_cannot_be_trained_and_says_so():
    samples = pd.concat([SAMPLES, table(("new", "celeba", "test", "z"))], ignore_index=True)
    pools, notes = trainable_pools("all", samples, partitions(samples, 0, 0), folds=0, named=False)
    assert pools == [Pool.of("lama"), Pool.of("ldm")]
    assert [note.split()[2] for note in notes] == ["gan", "new"]


def test_the_split_is_one_partition():
    (partition,) = partitions(SAMPLES, 0, seed=0)
    assert isinstance(partition, Partition)
    assert partition.train.sum() == 5
    assert partition.test.tolist() == [False, False, False, False, True, False]
    assert not partition.val.any()


def grouped(groups, generators="lama"):
    return pd.DataFrame({"group": groups, "generator": generators, "domain": "x"}).assign(
        label=lambda rows: (rows["generator"] != "real").astype(int)
    )


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["real", "lama", "ldm"])), min_size=1, max_size=80),
    folds=st.integers(2, 6),
    seed=st.integers(0, 3),
)
def test_folds_never_split_a_group_and_do_not_depend_on_the_order_of_the_rows(rows, folds, seed):
    samples = grouped([f"g{group}" for group, _ in rows], [name for _, name in rows])
    number = group_folds(samples, folds, seed)
    assert (samples.assign(fold=number).groupby("group")["fold"].nunique() == 1).all()
    order = np.random.default_rng(seed).permutation(len(rows))
    assert np.array_equal(group_folds(samples.iloc[order], folds, seed), number[order])
    assert number.max() + 1 == min(folds, samples["group"].nunique())


def test_folds_are_about_equal_and_depend_on_the_seed():
    samples = grouped(np.repeat([f"photo {i}" for i in range(60)], 7))
    sizes = np.bincount(group_folds(samples, 5, seed=0))
    assert sizes.tolist() == [84] * 5
    assert not np.array_equal(group_folds(samples, 5, seed=0), group_folds(samples, 5, seed=1))


def test_every_fold_has_the_same_share_of_each_class_when_a_group_has_one_class():
    names = ["real"] * 30 + ["lama"] * 20 + ["ldm"] * 10
    samples = grouped([f"{i}.png" for i in range(60)], names)
    shares = pd.crosstab(group_folds(samples, 5, seed=0), samples["generator"])
    assert (shares == [4, 2, 6]).all(axis=None)  # lama, ldm, real


def test_groups_left_over_go_to_folds_that_have_more_of_the_other_class():
    samples = grouped([f"{i}.png" for i in range(14)], ["real", "lama"] * 7)
    shares = pd.crosstab(group_folds(samples, 5, seed=0), samples["generator"])
    assert (shares["real"] == shares["lama"]).all()


def test_groups_of_every_class_and_groups_of_one_are_dealt_side_by_side():
    mixed = [(f"pair {i}", name) for i in range(10) for name in ("real", "lama")]
    alone = [(f"{name} {i}", name) for i in range(10) for name in ("real", "lama")]
    groups, names = zip(*mixed, *alone, strict=True)
    samples = grouped(groups, names)
    shares = pd.crosstab(group_folds(samples, 5, seed=0), samples["generator"])
    assert (shares == 4).all(axis=None)


def test_folds_stay_as_they_were_frozen():
    samples = grouped(list("abcdef"), ["real", "lama"] * 3)
    assert group_folds(samples, 3, seed=0).tolist() == [0, 2, 1, 1, 2, 0]


def test_every_sample_is_tested_in_exactly_one_fold_without_its_group():
    samples = table(*[("lama" if i % 2 else "real", "x", "train", f"g{i // 4}") for i in range(40)])
    parts = partitions(samples, 4, seed=0)
    assert len(parts) == 4
    assert np.sum([part.test for part in parts], axis=0).tolist() == [1] * 40
    for part in parts:
        assert not (set(samples["group"][part.train]) & set(samples["group"][part.test]))


@pytest.mark.parametrize("folds", [1, -3])
def test_one_fold_or_fewer_is_a_usage_error(folds):
    with pytest.raises(UsageError, match="at least 2"):
        partitions(SAMPLES, folds, seed=0)


def test_one_group_that_holds_everything_cannot_be_folded():
    with pytest.raises(ProbeError, match="one group"):
        partitions(SAMPLES.assign(group="same"), 5, seed=0)


def test_a_group_on_both_sides_is_a_leak():
    samples = table(*[(name, "x", split, group) for name, split, group in [
        ("real", "train", "a"), ("lama", "train", "b"), ("lama", "test", "a"), ("lama", "test", "c")
    ]])  # fmt: skip
    every = np.ones(4, dtype=bool)
    labels = samples["label"].to_numpy()
    taken = turns(samples, labels, every, partitions(samples, 0, 0), scored=every, selection="cv", seed=0)
    assert leaked(samples, taken).tolist() == [False, False, True, False]
    assert learned_from(taken).tolist() == [True, True, False, False]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_refused_with_the_image_named(value):
    blocks = [np.zeros((6, 3), np.float32), np.zeros((6, 2), np.float32)]
    require_finite(SAMPLES, blocks)
    blocks[1][4, 1] = value
    with pytest.raises(ModelError, match=r"^4\.png: .*not finite \(1 such"):
        require_finite(SAMPLES, blocks)


def test_fewer_groups_than_folds_make_fewer_folds_and_say_so():
    samples = table(*[("lama" if i % 2 else "real", "x", "train", f"g{i // 4}") for i in range(12)])
    parts = partitions(samples, 5, seed=0)
    assert len(parts) == 3
    assert evaluation(parts, 5) == "3-fold out of fold by group (5 folds asked for, 3 groups)"
    assert evaluation(parts, 3) == "3-fold out of fold by group"
