"""Manifests: every cell checked, splits that keep groups together, and files that are what they say."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from probekit.errors import ManifestError
from probekit.manifest import (
    Manifest,
    assign_splits,
    check,
    default_folds,
    files,
    find,
    split_report,
    summarise,
    unanswerable,
    validate,
)

HEADER = "path,label,generator"


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def samples(count: int = 12, **columns) -> pd.DataFrame:
    """Real and fake rows by turns, valid."""
    rows = [
        {"path": f"{i:03}.png", "label": i % 2, "generator": ("real", "lama")[i % 2], "split": "train"}
        for i in range(count)
    ]
    return pd.DataFrame(rows).assign(**columns)


def manifest(table: pd.DataFrame, root: Path, **fields) -> Manifest:
    return Manifest("m", None, root, validate(table, "m"), **fields)


# Reading


def test_a_manifest_gets_its_types_and_default_columns(tmp_path):
    path = write(tmp_path / "m.csv", HEADER + ",note", "a.png,0,real,x", "b.png,1,lama,y")
    read = Manifest.read(path)
    assert (read.name, read.path, read.root) == ("m", path, tmp_path)
    assert list(read.table.columns) == ["path", "label", "generator", "domain", "split", "group", "note"]
    assert read.table["label"].tolist() == [0, 1]
    assert read.table["label"].dtype == "int64"
    assert read.table["domain"].tolist() == ["", ""]
    assert read.table["group"].tolist() == ["a.png", "b.png"]
    assert read.table.index.tolist() == [0, 1]
    assert read.absolute_paths() == [tmp_path / "a.png", tmp_path / "b.png"]


def test_names_that_look_like_missing_values_or_numbers_stay_what_they_are(tmp_path):
    names = ["None", "NA", "nan", "null", "1.0", "007"]
    path = write(tmp_path / "m.csv", HEADER + ",id", *(f"{name},1,{name},{name}" for name in names))
    table = Manifest.read(path).table
    for column in ("path", "generator", "id"):
        assert table[column].tolist() == names


def test_quotes_commas_byte_order_marks_and_other_alphabets_are_read(tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes('\ufeffpath,label,generator\r\n"a, ""b"".png",0,real\r\nПривет/图像.png,1,Köln\r\n'.encode())
    assert Manifest.read(path).table["path"].tolist() == ['a, "b".png', "Привет/图像.png"]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6) for _ in range(3)]),
        min_size=1,
        max_size=5,
    )
)
def test_a_plain_file_reads_the_same_by_either_way(tmp_path_factory, rows):
    """The quick way is taken only where it agrees with the careful one, cell for cell and row for row."""
    path = tmp_path_factory.mktemp("plain") / "m.csv"
    pd.DataFrame(rows, columns=["path", "generator", "note"]).to_csv(path, index=False)
    quoted = '"' in path.read_text(encoding="utf-8")
    assert files._is_plain(path) == (not quoted)
    if not quoted and (quick := files._read_plain_csv(path)) is not None:
        pd.testing.assert_frame_equal(quick, files._read_any_csv(path), check_index_type=False)
    assert len(files.read_table(path)) == sum(any(row) for row in rows)


def test_parquet_and_csv_hold_the_same_manifest(tmp_path):
    table = samples(4).assign(domain=["a", None, "a", "a"], score=[0.1, 0.25, 1e-9, 3.0], x0=[0, None, 1, 2])
    table = table.assign(x1=[5, None, 6, 7], y0=[0, None, 0, 0], y1=[1, None, 2, 3])
    table.to_parquet(tmp_path / "p.parquet")
    table.astype(dict.fromkeys(("x0", "x1", "y0", "y1"), "Int64")).to_csv(tmp_path / "c.csv", index=False)
    parquet, comma = (Manifest.read(tmp_path / name) for name in ("p.parquet", "c.csv"))
    assert parquet.sha256 == comma.sha256
    assert parquet.table["x0"].tolist() == comma.table["x0"].tolist() == [0, pd.NA, 1, 2]
    assert parquet.table["score"].tolist() == [0.1, 0.25, 1e-9, 3.0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,label", "a.png,0"], "m.csv: column 'generator' is missing (there are: path, label): add it."),
        ([HEADER], "m.csv: there are no rows: a manifest needs at least one sample."),
        ([HEADER, "a.png,0,real", ",0,real"], "m.csv row 3: path is empty: fill it in or delete the row."),
        ([HEADER, "a.png,1,"], "m.csv row 2: generator is empty: fill it in or delete the row."),
        (
            [HEADER, "a.png,0,real", "", "b.png,fake,lama"],
            "m.csv row 4: label is 'fake', expected 0 or 1. Map it with --label fake=1.",
        ),
        ([HEADER, "a.png,2,lama"], "m.csv row 2: label is '2', expected 0 or 1. Map it with --label 2=1."),
        ([HEADER, "a.png,,lama"], "m.csv row 2: label is '', expected 0 or 1. Fill it in."),
        (
            [HEADER, "a.png,0,lama"],
            "m.csv row 2: label is 0 (real), but generator is 'lama'. Call the generator",
        ),
        ([HEADER, "a.png,1,real"], "m.csv row 2: label is 1 (fake), but generator is 'real'. Name what made"),
        (
            [HEADER, "a.png,0,real", "./a.png,0,real"],
            "m.csv row 3: path './a.png' is already in row 2: delete",
        ),
        (
            [HEADER + ",split", "a.png,0,real,valid"],
            "m.csv row 2: split is 'valid', expected one of train, val, test. Correct it.",
        ),
        (
            [HEADER + ",family", "a.png,1,x,ABC"],
            "m.csv row 2: family is 'ABC', expected one of FS, FR, EFS, FE, LOCAL.",
        ),
        ([HEADER + ",x0", "a.png,1,x,1"], "m.csv: column 'y0' is missing: a box needs x0, y0, x1 and y1."),
        (
            [HEADER + ",x0,y0,x1,y1", "a.png,1,x,0,0,4,1.5"],
            "m.csv row 2: y1 is '1.5', expected a whole number of pixels from 0.",
        ),
        ([HEADER + ",x0,y0,x1,y1", "a.png,1,x,-1,0,4,1"], "m.csv row 2: x0 is '-1', expected a whole number"),
        ([HEADER + ",x0,y0,x1,y1", "a.png,1,x,,0,4,1"], "m.csv row 2: x0 is '', expected a whole number"),
        (
            [HEADER + ",x0,y0,x1,y1", "a.png,1,x,4,0,4,1"],
            "m.csv row 2: x0 and x1 are 4 and 4, expected the first to be smaller.",
        ),
        (
            [HEADER, "a.png,1,x,y"],
            "m.csv row 2: 4 cells, the header has 3: quote cells that contain a comma.",
        ),
        ([HEADER, "a.png,1"], "m.csv row 2: 2 cells, the header has 3"),
        ([HEADER + ",path", "a.png,0,real,a"], "m.csv: column 'path' is there twice: rename one of them."),
        (
            [HEADER, '"a.png,0,real'],
            "m.csv cannot be read (unexpected end of data): give a CSV or Parquet file.",
        ),
    ],
)
def test_a_broken_manifest_names_file_row_column_and_remedy(tmp_path, lines, message):
    path = write(tmp_path / "m.csv", *lines)
    with pytest.raises(ManifestError) as caught:
        Manifest.read(path)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(caught.value)


def test_an_empty_file_other_encodings_and_other_formats_are_refused(tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ManifestError, match=r"empty\.csv is empty: it needs a header"):
        Manifest.read(tmp_path / "empty.csv")
    (tmp_path / "latin.csv").write_bytes("path,label,generator\nä.png,0,real\n".encode("latin-1"))
    with pytest.raises(ManifestError, match=r"latin\.csv is not UTF-8 \(byte 21\): save it as UTF-8"):
        Manifest.read(tmp_path / "latin.csv")
    (tmp_path / "fake.parquet").write_text("path,label\n")
    with pytest.raises(ManifestError, match=r"fake\.parquet cannot be read .*: give a CSV or Parquet file"):
        Manifest.read(tmp_path / "fake.parquet")


def test_one_file_may_hold_several_frames_and_boxes():
    table = pd.DataFrame({"path": ["v.gif"] * 3, "label": 0, "generator": "real", "frame": ["0", "1", "1"]})
    table = table.assign(x0=[0, 0, 4], y0=0, x1=[4, 4, 8], y1=4)
    assert validate(table, "m")["group"].tolist() == ["v.gif"] * 3
    with pytest.raises(ManifestError, match=r"row 3: path 'v.gif' is already in row 2"):
        validate(table.assign(x0=0, x1=4).set_axis([1, 2, 3]), "m")


def test_validation_leaves_the_callers_table_alone():
    table = samples(4, label=["0", "1", "0", "1"])
    before = table.copy()
    validate(table, "m")
    pd.testing.assert_frame_equal(table, before)


# Finding


def test_the_only_manifest_is_the_default(tmp_path):
    with pytest.raises(ManifestError, match="make one with `probekit manifest import`"):
        find(None, tmp_path / "nowhere")
    one = write(tmp_path / "one.csv", HEADER, "a.png,0,real")
    write(tmp_path / "README.md", "not a manifest")
    assert find(None, tmp_path) == one
    write(tmp_path / "two.csv", HEADER, "a.png,0,real")
    with pytest.raises(ManifestError, match=r"several manifests \(one, two\): choose one with --manifest NAME"):
        find(None, tmp_path)


def test_a_manifest_is_found_by_name_file_or_environment(tmp_path, monkeypatch):
    one, two = (write(tmp_path / f"{name}.csv", HEADER, "a.png,0,real") for name in ("one", "two"))
    assert find("two", tmp_path) == find(two, tmp_path / "nowhere") == find("two.csv", tmp_path) == two
    monkeypatch.setenv("PROBEKIT_MANIFEST", "one")
    assert find(None, tmp_path) == one
    assert find("two", tmp_path) == two
    with pytest.raises(ManifestError, match=r"there is no manifest 'three' \(.* has one, two\)"):
        find("three", tmp_path)


def test_two_formats_of_one_name_are_ambiguous(tmp_path):
    write(tmp_path / "m.csv", HEADER, "a.png,0,real")
    samples().to_parquet(tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match=r"both .*m\.csv and .*m\.parquet: name the file"):
        find("m", tmp_path)
    assert find("m.parquet", tmp_path).suffix == ".parquet"


# Writing


def test_a_written_manifest_reads_as_it_was(tmp_path):
    table = samples(6, group=["a", "a", "ü", "b", "b", "c"], note=["", "1,5", "x\ny", '"', "NA", " "])
    written = manifest(table, tmp_path / "images", folds=3, facts={"layout": "x"}).write(tmp_path / "manifests")
    read = Manifest.read("m", tmp_path / "manifests")
    pd.testing.assert_frame_equal(read.table, written.table)
    assert (read.sha256, read.root, read.folds) == (written.sha256, tmp_path / "images", 3)
    assert read.facts == {"layout": "x"}
    assert read.path == written.path


def test_a_root_inside_the_project_moves_with_it_and_one_outside_stays(tmp_path):
    manifest(samples(), tmp_path / "project" / "data").write(tmp_path / "project" / "manifests")
    (tmp_path / "project").rename(tmp_path / "moved")
    assert Manifest.read("m", tmp_path / "moved" / "manifests").root == tmp_path / "moved" / "data"
    manifest(samples(), tmp_path / "elsewhere").write(tmp_path / "project" / "manifests")
    assert Manifest.read("m", tmp_path / "project" / "manifests").root == tmp_path / "elsewhere"


def test_another_manifest_of_the_same_name_is_not_overwritten(tmp_path):
    manifest(samples(4), tmp_path).write(tmp_path)
    manifest(samples(4), tmp_path).write(tmp_path)  # the same again
    with pytest.raises(
        ManifestError, match=r"m\.csv exists and differs: choose another name, or replace it with --force"
    ):
        manifest(samples(6), tmp_path).write(tmp_path)
    assert len(Manifest.read("m", tmp_path).table) == 4
    manifest(samples(6), tmp_path).write(tmp_path, overwrite=True)
    assert len(Manifest.read("m", tmp_path).table) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.json"]


@pytest.mark.parametrize("name", ["", ".hidden", "../escaped", "a/../../b", "a\\b", "..", "line\nbreak", "c:x"])
def test_a_name_that_leaves_the_folder_or_hides_in_it_is_refused(name, tmp_path):
    with pytest.raises(ManifestError, match="cannot name a manifest: use letters") as caught:
        replace(manifest(samples(), tmp_path), name=name).write(tmp_path / "manifests", overwrite=True)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_never_made_ambiguous(tmp_path):
    samples().to_parquet(tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match=r"m\.parquet has that name already"):
        manifest(samples(), tmp_path).write(tmp_path, overwrite=True)


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_cells_separated_by_something_else_are_named(separator, name, tmp_path):
    write(tmp_path / "m.csv", HEADER.replace(",", separator), separator.join(["a.png", "0", "real"]))
    with pytest.raises(ManifestError, match=rf"m\.csv: its cells are separated by {name}: save it with commas\."):
        Manifest.read(tmp_path / "m.csv")


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match=r"cannot be written .*: choose another folder"):
        manifest(samples(), tmp_path).write(tmp_path / "file" / "manifests")


@pytest.mark.parametrize("content", ["{", "[]", '{"folds": "five"}', '{"root": 3}'])
def test_a_broken_sidecar_is_an_error(tmp_path, content):
    path = write(tmp_path / "m.csv", HEADER, "a.png,0,real")
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(ManifestError, match=r"m\.json cannot be read .*: correct it, or import the data again"):
        Manifest.read(path)
    (tmp_path / "m.json").write_text('{"schema": 99}')
    with pytest.raises(ManifestError, match=r"m\.json was written by a newer probekit: update probekit"):
        Manifest.read(path)


def test_the_hash_is_of_the_content_alone(tmp_path):
    table = samples()
    base = manifest(table, tmp_path).sha256
    assert manifest(table[table.columns[::-1]], tmp_path / "x", facts={"imported": "today"}).sha256 == base
    assert manifest(table.assign(split="test"), tmp_path).sha256 != base
    assert manifest(table[::-1], tmp_path).sha256 != base


@settings(deadline=None)
@given(
    cells=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, max_size=5),
    columns=st.sets(st.sampled_from(["quality", "frame", "box", "note"])),
)
def test_the_hash_is_of_the_csv_text_whatever_cells_there_are(cells, columns):
    """Text, integers, nulls and floats; with commas, quotes and line ends, or plain enough for the quicker way."""
    more = {"quality": 0.1, "frame": pd.array([None, *range(1, len(cells))], "Int64"), "box": 7, "note": cells[::-1]}
    table = pd.DataFrame({"path": [f"{row}.png" for row in range(len(cells))], "label": 1, "generator": "gen"})
    table = validate(table.assign(group=cells, **{name: more[name] for name in columns}), "m")
    text = table[sorted(table.columns)].to_csv(index=False, lineterminator="\n")
    assert Manifest("m", None, Path(), table).sha256 == hashlib.sha256(text.encode()).hexdigest()


# Splitting


def grouped(sizes: dict[str, int]) -> pd.DataFrame:
    """A table in which each generator has as many groups of one row as `sizes` says."""
    rows = [
        {"path": f"{name}/{i}.png", "label": int(name != "real"), "generator": name}
        for name, size in sizes.items()
        for i in range(size)
    ]
    return validate(pd.DataFrame(rows), "m")


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1)), (5, (3, 1, 1)), (10, (6, 2, 2)),
        (83, (49, 17, 17)), (100, (60, 20, 20)),
    ],
)  # fmt: skip
def test_each_generator_is_split_60_20_20_and_reaches_all_splits_from_three_groups_on(groups, expected):
    table = grouped({"real": 40, "lama": groups})
    counts = pd.crosstab(table["generator"], pd.Series(assign_splits(table))).reindex(
        columns=["train", "val", "test"], fill_value=0
    )
    assert tuple(counts.loc["lama"]) == expected
    assert tuple(counts.loc["real"]) == (24, 8, 8)


def test_a_split_does_not_depend_on_the_order_of_rows_and_does_on_the_seed():
    table = grouped({"real": 50, "lama": 50})
    shuffled = table.sample(frac=1, random_state=0)
    first = dict(zip(table["path"], assign_splits(table), strict=True))
    assert dict(zip(shuffled["path"], assign_splits(shuffled), strict=True)) == first
    assert dict(zip(table["path"], assign_splits(table, seed=1), strict=True)) != first


def test_a_split_is_the_same_on_every_machine():
    splits = assign_splits(grouped({"real": 10}))
    assert [splits.index("val"), splits.index("test")] == [1, 2]  # from SHA-256, written down once


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 25), st.sampled_from(["real", "a", "b", "c"])), min_size=1, max_size=120))
def test_no_group_is_ever_divided_and_the_shares_are_kept(rows):
    table = pd.DataFrame([{"group": f"g{group}", "generator": made_by, "domain": ""} for group, made_by in rows])
    splits = pd.Series(assign_splits(table))
    assert (splits.groupby(table["group"]).nunique() == 1).all()
    assert set(splits) <= {"train", "val", "test"}
    if (groups := table["group"].nunique()) >= 15:
        assert splits.groupby(table["group"]).first().eq("train").sum() / groups > 0.3


def test_groups_shared_by_all_generators_are_split_exactly():
    made_by = ["real", "lama", "ldm"]
    table = pd.DataFrame([{"group": str(i), "generator": name, "domain": ""} for i in range(30) for name in made_by])
    counts = pd.Series(assign_splits(table)).value_counts()
    assert counts.to_dict() == {"train": 54, "val": 18, "test": 18}


def test_a_rare_generator_among_shared_groups_reaches_all_splits():
    rows = [{"group": str(i), "generator": "real", "domain": ""} for i in range(60)]
    rows += [{"group": str(i), "generator": "rare", "domain": ""} for i in range(11)]
    table = pd.DataFrame(rows)
    counts = pd.crosstab(table["generator"], pd.Series(assign_splits(table)))
    assert counts.loc["rare", ["train", "val", "test"]].tolist() == [7, 2, 2]
    assert counts.loc["real", ["train", "val", "test"]].tolist() == [36, 12, 12]


@pytest.mark.parametrize(("groups", "folds"), [(1, 0), (2, 0), (3, 3), (4, 4), (40, 5), (47, 5), (48, 0)])
def test_few_groups_are_evaluated_out_of_fold(groups, folds):
    table = grouped({"real": groups})
    table["split"] = assign_splits(table)
    assert default_folds(table) == folds


def test_a_file_without_splits_gets_them_when_read_and_one_with_splits_keeps_them(tmp_path):
    rows = [f"{i}.png,{i % 2},{('real', 'lama')[i % 2]}" for i in range(12)]
    read = Manifest.read(write(tmp_path / "m.csv", HEADER, *rows))
    assert read.table["split"].tolist() == assign_splits(read.table)
    assert read.folds == 5
    assert read.facts["split"]["groups"] == split_report(read.table, "")["groups"]
    kept = Manifest.read(write(tmp_path / "n.csv", HEADER + ",split", *(row + ",test" for row in rows)))
    assert set(kept.table["split"]) == {"test"}
    assert kept.folds == 0


# Looking behind the rows


def save(path: Path, seed: int, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def problems_of(table: pd.DataFrame, root: Path, **options) -> list[tuple[str, str]]:
    problems = check(manifest(table, root, folds=options.pop("folds", 5)), **options).problems
    problems = problems[problems["kind"] != "too few groups"]  # there are, in such small tables
    return list(zip(problems["path"], problems["kind"], strict=True))


def test_a_clean_manifest_has_no_problems_and_is_counted(tmp_path):
    table = samples(6)
    for seed, path in enumerate(table["path"]):
        save(tmp_path / path, seed)
    calls = []
    report = check(manifest(table, tmp_path, folds=5), progress=lambda done, total: calls.append((done, total)))
    assert report.problems.empty
    assert (report.samples, report.files, calls) == (6, 6, [(i + 1, 6) for i in range(6)])
    assert report.size == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_unreadable_files_are_listed_with_their_reasons(tmp_path):
    table = samples(6)
    for seed, path in enumerate(table["path"][:2]):
        save(tmp_path / path, seed)
    (tmp_path / "002.png").touch()
    (tmp_path / "003.png").write_text("hello")
    (tmp_path / "004.png").mkdir()
    report = check(manifest(table, tmp_path, folds=5))
    assert report.counts == {"unreadable": 4}
    details = dict(zip(report.problems["path"], report.problems["detail"], strict=True))
    assert details["002.png"] == "the file is empty (0 bytes)."
    assert details["003.png"].startswith('the file is no image, it begins with "hello"')
    assert details["004.png"] == "it is a folder, not an image."
    assert details["005.png"] == "there is no such file."
    assert json.loads(json.dumps(report.to_json()))["counts"] == {"unreadable": 4}


def test_a_truncated_image_is_found_when_pixels_are_decoded(tmp_path):
    table = samples(2)
    for seed, path in enumerate(table["path"]):
        save(tmp_path / path, seed, (64, 64))
    whole = (tmp_path / "001.png").read_bytes()
    (tmp_path / "001.png").write_bytes(whole[: len(whole) // 2])
    assert problems_of(table, tmp_path) == []
    assert problems_of(table, tmp_path, pixels=True) == [("001.png", "unreadable")]


def test_equal_bytes_are_duplicates_and_worse_across_splits_and_labels(tmp_path):
    table = samples(8).assign(split=["train"] * 6 + ["test"] * 2)
    for path, seed in zip(table["path"], [0, 1, 0, 3, 4, 0, 4, 7], strict=True):
        save(tmp_path / path, seed)
    assert problems_of(table, tmp_path) == [
        ("002.png", "same bytes"),
        ("005.png", "same bytes, other label"),
        ("006.png", "same bytes, other split"),
    ]


def test_groups_that_cross_splits_and_generators_of_one_split_are_reported(tmp_path):
    table = samples(8, group=["a", "a", "b", "b", "c", "c", "a", "d"])
    table["split"] = ["train"] * 4 + ["test", "train", "test", "train"]
    for seed, path in enumerate(table["path"]):
        save(tmp_path / path, seed)
    report = check(manifest(table, tmp_path))
    assert report.counts == {"group in several splits": 2, "generator in one split": 1}
    assert report.problems["detail"].tolist() == [
        "a: 2 in train, 1 in test.",
        "c: 1 in train, 1 in test.",
        "lama: all its images are in train.",
    ]


def test_one_picture_of_two_generators_is_told_from_one_of_two_labels(tmp_path):
    table = samples(6).assign(generator=["real", "lama", "real", "ldm", "real", "ldm"])
    for path, seed in zip(table["path"], [0, 1, 2, 1, 1, 5], strict=True):
        save(tmp_path / path, seed)
    assert problems_of(table, tmp_path) == [
        ("003.png", "same bytes, other generator"),
        ("004.png", "same bytes, other label"),
    ]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, []),
        ({"label": 0, "generator": "real"}, [("one class", "all samples are real: add fake images.")]),
        ({"label": 1, "generator": "lama"}, [("one class", "all samples are fake: add real images.")]),
        (
            {"domain": ["a", "b"] * 6},
            [("no real images", "lama: none in its domain ('b'): add some, or correct the domain.")],
        ),
        (
            {"group": ["x", "y"] * 6},
            [
                ("too few groups", "1 of real images, 3 are needed: add images, or make smaller groups."),
                ("too few groups", "1 of fake images, 3 are needed: add images, or make smaller groups."),
            ],
        ),
    ],
    ids=["fine", "only real", "only fake", "no real of the domain", "two groups"],
)
def test_samples_that_no_question_can_be_asked_of_are_reported(columns, expected):
    assert unanswerable(validate(samples(12).assign(**columns), "m")) == expected


def test_masks_that_are_missing_or_of_another_size_are_reported(tmp_path):
    table = samples(4, mask=["", "masks/1.png", "masks/2.png", "masks/3.png"])
    for seed, path in enumerate(table["path"]):
        save(tmp_path / path, seed)
    save(tmp_path / "masks" / "1.png", 9)
    save(tmp_path / "masks" / "3.png", 9, (6, 8))
    assert problems_of(table, tmp_path) == [("002.png", "no mask"), ("003.png", "mask size")]


def test_boxes_beyond_the_image_and_members_of_archives_are_reported(tmp_path):
    table = samples(3, x0=0, y0=0, x1=[8, 9, 8], y1=6, member=["", "", "b.png"])
    for seed, path in enumerate(table["path"]):
        save(tmp_path / path, seed)
    assert problems_of(table, tmp_path) == [
        ("002.png member=b.png x0=0 y0=0 x1=8 y1=6", "unreadable"),
        ("001.png x0=0 y0=0 x1=9 y1=6", "box outside"),
    ]


def test_a_summary_counts_each_generator_of_each_domain(tmp_path):
    table = samples(8, domain=["celeb"] * 6 + ["ffhq"] * 2, group=list("aabbccdd"))
    table["split"] = ["train"] * 4 + ["val", "val", "test", "test"]
    assert summarise(manifest(table, tmp_path)).to_dict(orient="records") == [
        {
            "domain": "celeb",
            "label": 0,
            "generator": "real",
            "train": 2,
            "val": 1,
            "test": 0,
            "images": 3,
            "groups": 3,
        },
        {
            "domain": "celeb",
            "label": 1,
            "generator": "lama",
            "train": 2,
            "val": 1,
            "test": 0,
            "images": 3,
            "groups": 3,
        },
        {
            "domain": "ffhq",
            "label": 0,
            "generator": "real",
            "train": 0,
            "val": 0,
            "test": 1,
            "images": 1,
            "groups": 1,
        },
        {
            "domain": "ffhq",
            "label": 1,
            "generator": "lama",
            "train": 0,
            "val": 0,
            "test": 1,
            "images": 1,
            "groups": 1,
        },
    ]
