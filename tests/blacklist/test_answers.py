"""Thresholds that hold what they promise, and indexes that find what is there."""

import numpy as np
import pytest

from probekit import blacklist
from probekit.blacklist import CalibrationSettings, MatchSettings
from probekit.blacklist.images import unit_parts
from probekit.errors import UnknownNameError, UsageError
from probekit.heads.saved import Block
from tests.blacklist.material import BLOCKS, SETTINGS, brute_force, image_set, key_of

WIDE = (Block("blocks", 16, SETTINGS),)


def clouds(seed: int, generator: int, n: int, first: int, spread: float = 0.3, **changes):
    """Images of one generator: features around a direction of its own."""
    rng = np.random.default_rng(seed)
    centre = np.random.default_rng(1000 + generator).normal(size=16)
    features = (centre + spread * rng.normal(size=(n, 16))).astype(np.float32)
    given = image_set(range(first, first + n), blocks=WIDE, features=features)
    return given if not changes else _with(given, **changes)


def _with(images, **changes):
    from dataclasses import replace

    return replace(images, **changes)


@pytest.fixture
def path(tmp_path):
    """40 examples of each of three generators."""
    blacklist.create(tmp_path / "watch", WIDE)
    for number, name in enumerate(("lama", "ldm", "sd")):
        blacklist.register(tmp_path / "watch", name, clouds(number, number, 40, 100 * number))
    return tmp_path / "watch"


def cosines(a, b):
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    return (a / np.linalg.norm(a, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T


def test_the_pools_are_searches_for_what_is_not_registered(path):
    real = clouds(7, 9, 50, 900)
    found = blacklist.calibrate(blacklist.Blacklist.open(path), real, CalibrationSettings(0.05))
    parts = [clouds(number, number, 40, 0).features for number in range(3)]
    expected = cosines(real.features, np.vstack(parts)).max(axis=1)
    np.testing.assert_allclose(found.scores["real"], expected, atol=1e-6)
    others = [np.vstack([parts[other] for other in range(3) if other != own]) for own in range(3)]
    expected = np.concatenate([cosines(parts[own], others[own]).max(axis=1) for own in range(3)])
    np.testing.assert_allclose(found.scores["registered"], expected, atol=1e-6)
    by_name = {pool.name: pool for pool in found.pools}
    assert {name: pool.searches for name, pool in by_name.items()} == {"real": 50, "registered": 120}
    for name, scores in found.scores.items():
        assert np.mean(scores >= by_name[name].threshold) <= 0.05
        assert np.mean(scores >= np.nextafter(np.sort(scores)[-int(0.05 * len(scores)) - 1], -1)) > 0.05
    assert found.calibration.threshold == max(pool.threshold for pool in found.pools)
    assert by_name[found.calibration.pool].threshold == found.calibration.threshold


@pytest.mark.parametrize("pool", ["real", "registered"])
def test_one_pool_sets_the_threshold_when_it_is_asked_to(path, pool):
    opened = blacklist.Blacklist.open(path)
    found = blacklist.calibrate(opened, clouds(7, 9, 50, 900), CalibrationSettings(0.05, pool=pool))
    assert found.calibration.pool == pool
    assert found.calibration.threshold == next(each.threshold for each in found.pools if each.name == pool)


def test_an_fpir_that_a_pool_cannot_resolve_sets_nothing(path):
    opened = blacklist.Blacklist.open(path)
    found = blacklist.calibrate(opened, clouds(7, 9, 50, 900), CalibrationSettings(0.01))
    assert found.calibration is None
    assert [(pool.searches, pool.threshold is None) for pool in found.pools] == [(50, True), (120, False)]
    assert found.to_json()["status"] == "unresolvable"
    assert [pool["status"] for pool in found.to_json()["pools"]] == ["unresolvable", "resolved"]
    exact = blacklist.calibrate(opened, clouds(7, 9, 100, 900), CalibrationSettings(0.01))
    assert exact.calibration is not None  # 100 searches resolve 1 %
    assert np.sum(exact.scores["real"] >= exact.pools[0].threshold) <= 1


def test_images_of_one_photograph_do_not_set_a_threshold(tmp_path):
    """Three generators edit the same photographs; without their own, each finds another edit of the photograph."""
    path = tmp_path / "edits"
    blacklist.create(path, WIDE)
    photographs = np.random.default_rng(5).normal(size=(30, 16))
    groups = [f"photo-{number}" for number in range(30)]
    every = {}
    for number, name in enumerate(("lama", "ldm", "sd")):
        features = (photographs + 0.01 * np.random.default_rng(number).normal(size=(30, 16))).astype(np.float32)
        images = image_set(range(100 * number, 100 * number + 30), blocks=WIDE, features=features, manifest="faces")
        images.samples["group"] = groups
        blacklist.register(path, name, images)
        every[name] = features
    real = image_set(range(900, 930), blocks=WIDE, features=photographs.astype(np.float32), manifest="faces")
    real.samples["group"] = groups
    found = blacklist.calibrate(blacklist.Blacklist.open(path), real, CalibrationSettings(0.05))
    different = ~np.eye(30, dtype=bool)
    similar = np.stack([cosines(photographs, features) for features in every.values()])
    np.testing.assert_allclose(found.scores["real"], np.where(different, similar, -1).max(axis=(0, 2)), atol=1e-6)
    assert found.scores["registered"].max() < 0.99
    assert found.groups == {"real": 30, "registered": 30}
    assert not any("photographs" in note for note in found.notes)
    few = real.take(np.arange(12))
    few.samples["group"] = [f"photo-{number % 4}" for number in range(12)]
    found = blacklist.calibrate(blacklist.Blacklist.open(path), few, CalibrationSettings(0.1))
    assert found.groups["real"] == found.to_json()["pools"][0]["groups"] == 4
    assert [note for note in found.notes if "show 4 photographs" in note]
    assert found.calibration.real == "numbers (12 images of 4 photographs)"
    stranger = _with(real, manifest="other")  # another manifest's groups are not these
    assert blacklist.calibrate(blacklist.Blacklist.open(path), stranger).scores["real"].min() > 0.99


def test_a_threshold_is_stale_once_examples_come_or_go(path):
    opened = blacklist.Blacklist.open(path)
    calibration = blacklist.calibrate(opened, clouds(7, 9, 50, 900), CalibrationSettings(0.05)).calibration
    blacklist.keep_threshold(path, calibration)
    query = clouds(1, 1, 3, 800)
    fresh = blacklist.match(blacklist.Blacklist.open(path), query)
    assert (fresh.threshold, fresh.expected_fpir, fresh.stale) == (calibration.threshold, 0.05, False)
    blacklist.register(path, "lama", clouds(11, 0, 2, 700))
    blacklist.unregister(path, ids=[key_of(0)])
    stale = blacklist.match(blacklist.Blacklist.open(path), query)
    assert (stale.threshold, stale.expected_fpir, stale.stale) == (calibration.threshold, None, True)
    assert any("2 added, 1 removed" in note for note in stale.notes)


def test_each_fpir_has_its_own_threshold_and_the_last_one_set_is_in_force(path):
    for fpir in (0.05, 0.1, 0.05):
        found = blacklist.calibrate(blacklist.Blacklist.open(path), None, CalibrationSettings(fpir))
        blacklist.keep_threshold(path, found.calibration)
    opened = blacklist.Blacklist.open(path)
    assert [each.fpir for each in opened.record.calibrations] == [0.1, 0.05]
    query = clouds(1, 1, 3, 800)
    assert blacklist.match(opened, query).calibration.fpir == 0.05
    assert blacklist.match(opened, query, MatchSettings(fpir=0.1)).calibration.fpir == 0.1
    with pytest.raises(UsageError, match=r"there are: 0\.1, 0\.05"):
        blacklist.match(opened, query, MatchSettings(fpir=0.2))


def test_without_a_threshold_there_is_no_verdict(path):
    found = blacklist.match(blacklist.Blacklist.open(path), clouds(1, 1, 3, 800))
    assert found.table["generator"].tolist() == ["", "", ""]
    assert [each["generator"] for each in found.to_json()["matches"]] == [None] * 3
    assert found.table["nearest"].tolist() == ["ldm"] * 3
    assert any("no verdict" in note for note in found.notes)


def test_real_images_that_are_registered_are_refused(path):
    with pytest.raises(UsageError, match="registered as an example of lama"):
        blacklist.calibrate(blacklist.Blacklist.open(path), image_set([900, 3], blocks=WIDE, features=np.ones((2, 16))))


def test_one_generator_and_no_real_images_set_no_threshold(tmp_path):
    blacklist.create(tmp_path / "one", WIDE)
    blacklist.register(tmp_path / "one", "lama", clouds(0, 0, 40, 0))
    opened = blacklist.Blacklist.open(tmp_path / "one")
    with pytest.raises(UsageError, match="no searches"):
        blacklist.calibrate(opened, None)
    found = blacklist.calibrate(opened, clouds(7, 9, 50, 900), CalibrationSettings(0.05))
    assert [pool.name for pool in found.pools] == ["real"]


def test_parts_are_equally_long_whatever_their_scale():
    features = np.random.default_rng(0).normal(size=(5, 7)) * np.repeat([1e6, 1e-3], [3, 4])
    unit = unit_parts(features, [3, 4]).astype(np.float64)
    np.testing.assert_allclose((unit[:, :3] ** 2).sum(axis=1), 0.5, atol=1e-6)
    np.testing.assert_allclose((unit**2).sum(axis=1), 1.0, atol=1e-6)
    assert not unit_parts(np.zeros((1, 7)), [3, 4]).any()


@pytest.fixture
def numbered(tmp_path):
    blacklist.create(tmp_path / "numbers", BLOCKS)
    blacklist.register(tmp_path / "numbers", "lama", image_set(range(40)))
    blacklist.register(tmp_path / "numbers", "ldm", image_set(range(40, 80)))
    return tmp_path / "numbers"


@pytest.mark.parametrize("engine", ["flat", "ivf", "hnsw"])
def test_an_index_follows_what_is_registered_and_removed(numbered, engine):
    model = {number: "lama" if number < 40 else "ldm" for number in range(80)}
    settings = MatchSettings(top=3, threshold=0.5, index=engine)

    def check():
        found = blacklist.match(blacklist.Blacklist.open(numbered), image_set(range(90)), settings)
        assert found.engine == engine
        expected = [[score for *_, score in brute_force(model, query, 3)] for query in range(90)]
        right = np.isclose(found.nearest["similarity"].to_numpy().reshape(90, 3), expected, atol=1e-6)
        assert right.mean() >= (1.0 if engine == "flat" else 0.95)
        assert all(model[int(path.removesuffix(".png"))] for path in found.nearest["example_path"])

    check()
    check()  # read again from the disk
    blacklist.register(numbered, "sd", image_set(range(80, 85)))
    model |= dict.fromkeys(range(80, 85), "sd")
    check()
    blacklist.unregister(numbered, ids=[key_of(number) for number in (3, 4, 82)])
    model = {number: name for number, name in model.items() if number not in (3, 4, 82)}
    check()
    blacklist.unregister(numbered, "lama")
    model = {number: name for number, name in model.items() if name != "lama"}
    check()
    blacklist.register(numbered, "lama", image_set([3]))
    model[3] = "lama"
    check()


def test_a_damaged_index_is_built_anew_and_said(numbered):
    settings = MatchSettings(threshold=0.5, index="ivf")
    first = blacklist.match(blacklist.Blacklist.open(numbered), image_set(range(5)), settings)
    (file,) = (numbered / "index").glob("*.faiss")
    file.write_bytes(b"x" * file.stat().st_size)
    again = blacklist.match(blacklist.Blacklist.open(numbered), image_set(range(5)), settings)
    assert any("damaged" in note for note in again.notes)
    assert again.table.equals(first.table)
    (numbered / "index" / "ivf.json").write_text("{")
    assert blacklist.match(blacklist.Blacklist.open(numbered), image_set(range(5)), settings).table.equals(first.table)
    assert len(list((numbered / "index").glob("*.faiss"))) == 1


def test_bad_settings_end_in_one_line(path):
    for make in (
        lambda: MatchSettings(top=0),
        lambda: MatchSettings(threshold=1.5),
        lambda: MatchSettings(threshold=0.5, fpir=0.1),
        lambda: CalibrationSettings(0.0),
        lambda: CalibrationSettings(1.0),
        lambda: CalibrationSettings(pool="both"),
    ):
        with pytest.raises(UsageError):
            make()
    with pytest.raises(UnknownNameError, match="--index"):
        blacklist.match(blacklist.Blacklist.open(path), clouds(1, 1, 3, 800), MatchSettings(index="annoy"))


def test_answers_are_counted_beside_the_truth_and_a_threshold_that_does_not_carry_over_is_said(path):
    opened = blacklist.Blacklist.open(path)
    calibration = blacklist.calibrate(opened, clouds(7, 9, 50, 900), CalibrationSettings(0.05)).calibration
    blacklist.keep_threshold(path, calibration)
    parts = {"real": (1, 40), "lama": (0, 30), "sd": (2, 20), "glide": (8, 25)}  # these real images look like ldm
    every = [clouds(50 + n, n, count, 1000 + 100 * n) for n, count in parts.values()]
    every[3] = _with(every[3], features=-sum(clouds(n, n, 25, 0, 0.0).features for n in range(3)))  # like none of them
    images = _with(
        image_set(range(2000, 2115), blocks=WIDE, features=np.vstack([each.features for each in every])),
        samples=every[0].samples.iloc[[0] * 115].assign(
            path=[f"{n}.png" for n in range(115)], generator=np.repeat([*parts], [n for _, n in parts.values()])
        ).reset_index(drop=True),
    )  # fmt: skip
    found = blacklist.match(blacklist.Blacklist.open(path), images)
    truth, answer = found.table["truth"], found.table["generator"]
    assert found.truth.answers.index.tolist() == ["real", "glide", "lama", "sd"]
    assert found.truth.answers.sum(axis=1).tolist() == [40, 25, 30, 20]
    for name in parts:
        row = found.truth.answers.loc[name]
        assert row["its own name"] == ((truth == name) & (answer == name)).sum()
        assert row["unknown"] == ((truth == name) & (answer == "unknown")).sum()
    for pool, name in zip(found.truth.pools, ("real", "glide"), strict=True):
        assert pool.fpir == (answer[truth == name] != "unknown").mean()
        assert pool.expected_fpir == 0.05
    assert {each.generator: (each.n, each.dir) for each in found.truth.generators} == {
        name: (n, (answer[truth == name] == name).mean()) for name, n in (("lama", 30), ("sd", 20))
    }
    assert [pool.exceeded for pool in found.truth.pools] == [True, False]
    assert sum("does not carry over" in note for note in found.notes) == 1
    said = found.to_json()["truth"]
    assert said["answers"][0].keys() == {"truth", "right", "other", "unknown"}
    assert blacklist.match(opened, images).truth is None  # without a threshold there is no answer
    given = blacklist.match(opened, images, MatchSettings(threshold=0.5))
    assert {pool.exceeded for pool in given.truth.pools} == {False}  # nothing was promised
