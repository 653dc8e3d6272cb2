"""The table of generators: one name each, whatever data sets call them."""

import csv
from importlib import resources

import pandas as pd
import pytest

from probekit.layouts import layouts
from probekit.layouts.names import ARCHITECTURES, find_generator, name_generators
from probekit.manifest.columns import FAMILIES


def table() -> list[dict[str, str]]:
    text = resources.files("probekit.layouts").joinpath("names.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("row", table(), ids=lambda row: row["name"])
def test_each_generator_is_found_by_every_name_and_has_known_attributes(row):
    for alias in (row["name"], row["name"].upper(), *filter(None, row["aliases"].split(";"))):
        dataset, _, name = alias.rpartition(":")
        assert find_generator(name, dataset).name == row["name"]
    assert row["family"] in ("", *FAMILIES)
    assert row["architecture"] in ("", *ARCHITECTURES)
    assert row["source"] == "" or row["source"].startswith(("arXiv:", "doi:"))


def test_the_table_is_sorted_for_those_who_add_to_it_and_knows_the_data_sets_it_speaks_of():
    names = [row["name"].casefold() for row in table()]
    assert names == sorted(names)
    datasets = {alias.partition(":")[0] for row in table() for alias in row["aliases"].split(";") if ":" in alias}
    assert datasets <= set(layouts.names())


@pytest.mark.parametrize(
    ("name", "dataset", "expected"),
    [
        ("FF-FS", "deepfakebench", "FaceSwap"),
        ("faceswap", "df40", "FaceSwap"),
        ("FaceSwap", "ffpp", "FaceSwap"),
        ("BlendFace", "df40", "BlendFace"),
        ("BlendFace", "forgerynet", "ForgeryNet-BlendFace"),
        ("MidJourney", "df40", "Midjourney-v6"),
        ("Midjourney", "genimage", "Midjourney"),
        ("dalle", "ufd", "DALL-E-mini"),
        ("stylegan_xl", "", "StyleGAN-XL"),
    ],
)
def test_one_generator_has_one_name_in_all_data_sets(name, dataset, expected):
    assert find_generator(name, dataset).name == expected


def test_unknown_names_are_kept_and_pointed_out_and_reals_are_not_touched():
    rows = pd.DataFrame({"class": ["FF-FS", "mine", "youtube"], "label": ["1", "1", "0"]}, dtype="str")
    named, notes = name_generators(rows, "ffpp")
    assert named["class"].tolist() == ["FaceSwap", "mine", "real"]
    assert named["named"].tolist() == ["FF-FS", "mine", ""]
    assert named["family"].tolist() == ["FS", "", ""]
    assert notes == [
        "called as everywhere: FF-FS → FaceSwap (column 'named' keeps the first)",
        "mine not in the table of names: kept, without family; --rename mine=NAME",
    ]
    assert rows["class"].tolist() == ["FF-FS", "mine", "youtube"], "the caller's table stays"
