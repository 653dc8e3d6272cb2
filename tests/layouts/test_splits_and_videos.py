"""Groups of videos by their names, and splits of data that says them in part."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.layouts.source_videos import source_groups, split_videos
from probekit.layouts.splits import complete_splits

IDS = st.integers(0, 30).map("{:03}".format)
VIDEOS = st.lists(IDS | st.tuples(IDS, IDS).map("_".join), max_size=40)


@given(videos=VIDEOS, seed=st.randoms())
def test_linked_recordings_are_one_group_in_any_order(videos, seed):
    groups = source_groups(("ff", video) for video in videos)
    shuffled = [*videos]
    seed.shuffle(shuffled)
    assert source_groups(("ff", video) for video in shuffled) == groups
    for one in videos:
        for other in videos:
            if set(one.split("_")) & set(other.split("_")):
                assert groups["ff", one] == groups["ff", other]


@pytest.mark.parametrize(
    ("domain", "videos", "expected"),
    [
        ("ff", ["000_003", "003", "000", "004"], ["ff/000", "ff/000", "ff/000", "ff/004"]),
        ("cdf", ["id0_id1_0002", "id0_0002", "id1_0002"], ["cdf/id0_0002", "cdf/id0_0002", "cdf/id1_0002"]),
        ("dfd", ["01_02__a_b__ABCDEFGH", "01__a_b", "02__a_b"], ["dfd/01__a_b", "dfd/01__a_b", "dfd/02__a_b"]),
        ("heygen", ["clip 7", "0001", "1_2_3"], ["heygen/clip 7", "heygen/0001", "heygen/1_2_3"]),
    ],
)
def test_names_tell_the_recording_that_is_seen(domain, videos, expected):
    groups = source_groups((domain, video) for video in videos)
    assert [groups[domain, video] for video in videos] == expected


def test_equal_names_in_two_domains_are_not_linked():
    assert source_groups([("ff", "000_001"), ("other", "001")])["other", "001"] == "other/001"


def test_the_split_of_a_pair_is_that_of_both_recordings():
    split_of = {"000": "train", "003": "train", "010": "test"}
    assert split_videos(["000", "000_003", "000_010", "777", "x"], split_of) == {
        "000": "train", "000_003": "train", "000_010": "", "777": "", "x": "",
    }  # fmt: skip


def table(*rows: tuple[str, str]) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=["split", "group"], dtype="str")
    return made.assign(path=[f"{n}.png" for n in range(len(rows))], domain="d", generator="g")


def test_a_sample_without_a_split_follows_its_group_to_where_nothing_is_learned():
    rows = table(("train", "a"), ("", "a"), ("train", "b"), ("test", "b"), ("", "b"), ("val", "c"), ("", "c"))
    done, notes = complete_splits(rows, seed=0)
    assert done["split"].tolist() == ["train", "train", "train", "test", "test", "val", "val"]
    assert notes == [
        "3 samples have no split in the data: 3 follow their group, 0 are divided by group, 60/20/20 %, seed 0"
    ]


def test_what_has_no_relatives_is_divided_by_group():
    rows = table(("train", "a"), *(("", f"x{n // 2}") for n in range(20)))
    done, notes = complete_splits(rows, seed=0)
    assert done["split"].value_counts().to_dict() == {"train": 13, "val": 4, "test": 4}
    assert done.groupby("group")["split"].nunique().max() == 1
    assert "0 follow their group, 20 are divided by group" in notes[0]


def test_splits_of_all_and_of_none_are_left_to_others():
    whole = table(("train", "a"), ("test", "b"))
    assert complete_splits(whole, 0)[0] is whole
    assert "split" not in complete_splits(table(("", "a"), ("", "b")), 0)[0]
