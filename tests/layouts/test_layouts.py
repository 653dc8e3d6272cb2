"""Layouts: every image of a tree becomes a row, and what does not is counted."""

import os
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from probekit.errors import ManifestError, UnknownNameError, UsageError
from probekit.layouts import ImportOptions, import_manifest, layouts, scan
from probekit.layouts.template import compile_template
from probekit.manifest import Manifest, check


def grow(root: Path, *names: str) -> Path:
    """A tree of small images, all different; other files hold text."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".png", ".jpg", ".bmp"):
            format = {".jpg": "JPEG"}.get(path.suffix.lower(), path.suffix[1:].upper())
            Image.new("RGB", (8, 8), (number % 256, number // 256, 99)).save(path, format)
        else:
            path.write_text("text")
    return root


def rows(table: pd.DataFrame, *columns: str) -> list[tuple]:
    return list(table[list(columns)].itertuples(index=False, name=None))


def by_path(table: pd.DataFrame, column: str) -> dict[str, object]:
    return dict(zip(table["path"], table[column], strict=True))


# What all layouts have in common


@pytest.mark.parametrize(
    ("layout", "names", "options"),
    [
        ("class-folders", ["real/a.png", "lama/b.png"], ImportOptions()),
        ("zero-one", ["lama/0_real/a.png", "lama/1_fake/b.png"], ImportOptions()),
        ("template", ["real/a.png", "lama/b.png"], ImportOptions(template="{generator}/{name}")),
    ],
)
def test_every_layout_of_folders_lists_images_sorted_and_counts_the_rest(tmp_path, layout, names, options):
    first, second = (Path(name).parent for name in names)
    grow(
        tmp_path,
        *names,
        f"{first}/a.b.PNG",
        f"{second}/图像 ü.JPG",
        f"{first}/.hidden.png",
        f"{first}/Thumbs.db",
    )
    grow(tmp_path, f"{second}/notes.txt", "__MACOSX/real/x.png", ".git/x.png", "README.md")
    (tmp_path / second / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = scan(tmp_path, layout, options)
    assert found.table["path"].tolist() == sorted(
        [*names, f"{first}/a.b.PNG", f"{second}/图像 ü.JPG"], key=lambda path: path
    )
    assert sorted(found.table["label"]) == [0, 0, 1, 1]
    ignored = by_path(found.ignored, "reason")
    assert set(ignored) == {
        f"{first}/.hidden.png", f"{first}/Thumbs.db", f"{second}/notes.txt", f"{second}/gone.png",
        "__MACOSX", ".git", "README.md",
    }  # fmt: skip
    assert ignored[f"{second}/gone.png"] == "a link to nothing"
    assert ignored[f"{second}/notes.txt"] == "not an image (.txt)"


@pytest.mark.parametrize("layout", ["class-folders", "zero-one", "template"])
def test_a_folder_without_images_and_a_missing_one_are_errors(tmp_path, layout):
    options = ImportOptions(template="{generator}/{name}")
    with pytest.raises(UsageError, match="nowhere is no folder: give the folder that holds the images"):
        scan(tmp_path / "nowhere", layout, options)
    grow(tmp_path, "notes.txt")
    with pytest.raises(ManifestError, match=rf"has no image for layout '{layout}' \(1 files ignored\)"):
        scan(tmp_path, layout, options)


def test_an_unknown_layout_lists_the_known_ones(tmp_path):
    assert {"class-folders", "table", "template", "webdataset", "zero-one", "dolos", "ffpp"} <= set(layouts.names())
    expected = r"unknown layout 'class-folder'\. Did you mean 'class-folders'"
    with pytest.raises(UnknownNameError, match=expected):
        scan(tmp_path, "class-folder")


def test_links_to_folders_are_followed_once(tmp_path):
    grow(tmp_path / "elsewhere", "x.png")
    grow(tmp_path / "root", "real/a.png")
    (tmp_path / "root" / "lama").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "real" / "loop").symlink_to(tmp_path / "root")
    found = scan(tmp_path / "root", "class-folders")
    assert found.table["path"].tolist() == ["lama/x.png", "real/a.png"]
    assert rows(found.ignored, "path", "reason") == [("real/loop", "a link to a folder that is already here")]


@pytest.mark.skipif(os.name != "posix", reason="other systems have only Unicode names")
def test_a_name_that_is_not_utf_8_is_reported(tmp_path):
    grow(tmp_path, "real/a.png", "lama/b.png")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/real/\xff.png")).touch()
    except OSError:
        pytest.skip("this file system has only Unicode names")
    found = scan(tmp_path, "class-folders")
    assert rows(found.ignored, "path", "reason") == [("real/?.png", "its name is not UTF-8")]


# Labels, domains, sources


def test_names_of_folders_say_which_are_real(tmp_path):
    reals = ["real", "Real_Celeba", "real-unsplash", "nature", "original", "0_real"]
    fakes = ["lama", "unreal", "realistic", "1_fake"]
    grow(tmp_path, *(f"{name}/x{name}.png" for name in [*reals, *fakes]))
    table = scan(tmp_path, "class-folders").table
    for name in reals:
        row = table[table["source"] == name].iloc[0]
        assert (row["label"], row["generator"], row["domain"]) == (0, "real", "")
    for name in fakes:
        row = table[table["source"] == name].iloc[0]
        assert (row["label"], row["generator"]) == (1, name)


def test_plain_real_needs_no_source_column(tmp_path):
    grow(tmp_path, "real/a.png", "lama/b.png")
    assert "source" not in scan(tmp_path, "class-folders").table


def test_labels_are_overridden_by_name(tmp_path):
    grow(tmp_path, "celeba/a.png", "nature/b.png", "lama/c.png")
    table = scan(tmp_path, "class-folders", ImportOptions(labels={"celeba": 0, "nature": 1})).table
    assert rows(table, "label", "generator", "source") == [
        (0, "real", "celeba"),
        (1, "lama", "lama"),
        (1, "nature", "nature"),
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            ImportOptions(labels={"celebb": 0}),
            UnknownNameError,
            "unknown class in --label 'celebb'. Did you mean",
        ),
        (
            ImportOptions(labels={"celeba": 2}),
            UsageError,
            "--label celeba=2: a label is 0 .real. or 1 .fake.",
        ),
        (
            ImportOptions(labels={"real": 1}),
            UsageError,
            "'real' is the name of real images: rename that class",
        ),
        (ImportOptions(domains={"x": "y"}), UnknownNameError, "unknown class in --domain 'x'"),
        (
            ImportOptions(group="identity"),
            UsageError,
            "--group identity: there is no such column .path, class",
        ),
    ],
)
def test_options_that_name_nothing_are_errors(tmp_path, options, error, message):
    grow(tmp_path, "celeba/a.png", "real/b.png")
    with pytest.raises(error, match=message):
        scan(tmp_path, "class-folders", options)


def test_one_class_alone_and_names_that_differ_in_case_are_pointed_out(tmp_path):
    grow(tmp_path, "lama/a.png", "LaMa/b.png")
    notes = scan(tmp_path, "class-folders").notes
    assert "no class is real: name one with --label NAME=0" in notes
    assert any("differ only in case" in note for note in notes)
    assert any("no class is fake" in note for note in scan(tmp_path, "class-folders", ALL_REAL).notes)


ALL_REAL = ImportOptions(labels={"lama": 0, "LaMa": 0})


def test_domains_are_given_for_all_or_for_each_class(tmp_path):
    grow(tmp_path, "real_celeba/a.png", "real_ffhq/b.png", "lama/c.png", "p2/d.png")
    options = ImportOptions(domain="faces", domains={"real_ffhq": "ffhq", "p2": "ffhq"})
    table = scan(tmp_path, "class-folders", options).table
    assert by_path(table, "domain") == {
        "real_celeba/a.png": "faces", "real_ffhq/b.png": "ffhq", "lama/c.png": "faces", "p2/d.png": "ffhq",
    }  # fmt: skip


# Groups


def test_names_shared_between_classes_make_groups(tmp_path):
    grow(tmp_path, *(f"real/{i}.jpg" for i in range(6)), *(f"lama/{i}.png" for i in range(2, 6)), "lama/x.png")
    grow(tmp_path, "other/unrelated.png", "other/1.png", "other/too.png")
    found = scan(tmp_path, "class-folders")
    groups = by_path(found.table, "group")
    assert groups["real/2.jpg"] == groups["lama/2.png"] == "2"
    assert groups["real/0.jpg"] == "0"
    assert groups["other/1.png"] == "other/1.png"  # one of three names: an accident
    assert any("lama and real share 4 of 5 names: same name, same group" in note for note in found.notes)


def test_names_shared_by_less_than_half_are_accidents(tmp_path):
    grow(tmp_path, "real/1.png", "real/2.png", "real/3.png", "lama/3.png", "lama/4.png", "lama/5.png")
    table = scan(tmp_path, "class-folders").table
    assert table["group"].tolist() == table["path"].tolist()


def test_two_families_of_classes_do_not_mix_their_names(tmp_path):
    stems = {"a": "0123", "b": "0123", "c": "3456789", "d": "456789"}
    names = [f"{name}/{stem}.png" for name, numbers in stems.items() for stem in numbers]
    groups = by_path(scan(grow(tmp_path, *names), "class-folders").table, "group")
    assert groups["a/3.png"] == groups["b/3.png"] == "a/3"
    assert groups["c/4.png"] == groups["d/4.png"] == "c/4"
    assert groups["c/3.png"] == "c/3"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("none", ["lama/s/1.png", "lama/t/1.png", "real/s/1.png"]),
        ("stem", ["1", "1", "1"]),
        ("parent", ["lama/s", "lama/t", "real/s"]),
        ("generator+stem", ["lama/1", "lama/1", "real/1"]),
        ("auto", ["s/1", "t/1", "s/1"]),
    ],
)
def test_groups_follow_the_policy(tmp_path, policy, expected):
    grow(tmp_path, "real/s/1.png", "lama/s/1.png", "lama/t/1.png")
    table = scan(tmp_path, "class-folders", ImportOptions(group=policy)).table
    assert table["group"].tolist() == expected


# class-folders


def test_folders_below_a_class_mean_nothing_and_splits_among_them_are_pointed_out(tmp_path):
    grow(tmp_path, "real/train/x/1.png", "lama/test/2.png", "stray.png")
    found = scan(tmp_path, "class-folders")
    assert rows(found.table, "path", "generator") == [
        ("lama/test/2.png", "lama"),
        ("real/train/x/1.png", "real"),
    ]
    assert rows(found.ignored, "path", "reason") == [("stray.png", "lies in no class folder")]
    assert any("folders test, train below the classes are not taken as splits" in note for note in found.notes)


def test_folders_of_splits_are_not_classes(tmp_path):
    grow(tmp_path, "train/real/1.png", "test/lama/2.png")
    with pytest.raises(UsageError, match=r"has folders of splits .test, train., not of classes: use --layout template"):
        scan(tmp_path, "class-folders")


@pytest.mark.parametrize("tree", ["masks/lama/{}.png", "lama/masks/{}.png"])
def test_masks_are_found_beside_their_images(tmp_path, tree):
    grow(
        tmp_path,
        "real/images/1.jpg",
        "lama/images/1.jpg",
        "lama/images/2.jpg",
        tree.format(1),
        tree.format(7),
    )
    found = scan(tmp_path, "class-folders")
    assert by_path(found.table, "mask") == {
        "lama/images/1.jpg": tree.format(1),
        "lama/images/2.jpg": "",
        "real/images/1.jpg": "",
    }
    assert rows(found.ignored, "path", "reason") == [(tree.format(7), "a mask of no image")]
    assert "lama: 1 of 2 images have a mask" in found.notes


def test_expected_and_found_are_counted_by_class(tmp_path):
    grow(tmp_path, "real/1.png", "real/2.txt", "lama/3.png")
    assert rows(scan(tmp_path, "class-folders").expected, "class", "split", "expected", "found") == [
        ("lama", "", 1, 1),
        ("real", "", 2, 1),
    ]


# zero-one


def test_the_first_folder_is_the_generator_and_those_between_are_the_category(tmp_path):
    grow(
        tmp_path,
        "progan/cat/0_real/1.png",
        "progan/cat/1_fake/2.png",
        "gan/0_real/x/3.png",
        "gan/1_fake/4.png",
    )
    table = scan(tmp_path, "zero-one").table
    assert rows(table, "label", "generator", "domain", "category") == [
        (0, "real", "gan", ""),
        (1, "gan", "gan", ""),
        (0, "real", "progan", "cat"),
        (1, "progan", "progan", "cat"),
    ]


def test_shared_real_pools_give_one_domain_unless_told_otherwise(tmp_path):
    grow(tmp_path, "imagenet/0_real/1.png", "laion/0_real/2.png", "guided/1_fake/3.png", "glide/1_fake/4.png")
    found = scan(tmp_path, "zero-one")
    assert set(found.table["domain"]) == {""}
    assert any("glide, guided have no real images of their own" in note for note in found.notes)
    options = ImportOptions(domain="laion", domains={"imagenet": "imagenet", "guided": "imagenet"})
    assert rows(scan(tmp_path, "zero-one", options).table, "source", "domain") == [
        ("glide", "laion"), ("guided", "imagenet"), ("imagenet", "imagenet"), ("laion", "laion"),
    ]  # fmt: skip


def test_folders_of_splits_above_the_generator_are_kept(tmp_path):
    grow(
        tmp_path,
        "train/progan/0_real/1.png",
        "val/progan/1_fake/2.png",
        "test/gan/0_REAL/3.png",
        "test/gan/1_fake/4.png",
    )
    table = scan(tmp_path, "zero-one").table
    assert rows(table, "generator", "split") == [
        ("real", "test"),
        ("gan", "test"),
        ("real", "train"),
        ("progan", "val"),
    ]


def test_zero_one_at_the_top_takes_the_name_of_the_root(tmp_path):
    grow(tmp_path / "glide", "0_real/1.png", "1_fake/2.png", "readme/3.png")
    found = scan(tmp_path / "glide", "zero-one")
    assert found.table["generator"].tolist() == ["real", "glide"]
    assert found.ignored["path"].tolist() == ["readme/3.png"]


# template


def test_fields_fill_the_columns_of_their_names(tmp_path):
    grow(
        tmp_path,
        "ff/lama/validation/001_870.png",
        "ff/real/train/001_870.png",
        "ff/real/train/x.jpg",
        "ff/y.png",
    )
    options = ImportOptions(template="{domain}/{generator}/{split}/{group}_{donor}.png")
    found = scan(tmp_path, "template", options)
    assert rows(found.table, "domain", "generator", "split", "group", "donor") == [
        ("ff", "lama", "val", "001", "870"),
        ("ff", "real", "train", "001", "870"),
    ]
    assert rows(found.ignored, "path", "reason") == [
        ("ff/real/train/x.jpg", "does not fit the template"),
        ("ff/y.png", "does not fit the template"),
    ]


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("{generator}/{name}", "lama/a.b", {"generator": "lama", "name": "a.b"}),
        ("{generator}/{name}", "x/lama/a", None),
        ("**/{generator}/{name}", "x/y/lama/a", {"generator": "lama", "name": "a"}),
        ("**/{generator}/{name}", "lama/a", {"generator": "lama", "name": "a"}),
        ("{generator}/*/{name}.{ext}", "lama/anything/a", {"generator": "lama", "name": "a"}),
        ("{generator}/{name}_{name}", "lama/7_7", {"generator": "lama", "name": "7"}),
        ("{generator}/{name}_{name}", "lama/7_8", None),
        ("(a+)+.{generator}/[x]/{name}", "(a+)+.lama/[x]/1", {"generator": "lama", "name": "1"}),
    ],
)
def test_templates_match_whole_paths(template, path, expected):
    pattern, suffix = compile_template(template)
    match = pattern.fullmatch(path)
    assert (match and match.groupdict()) == expected
    assert suffix == ""


def test_an_extension_in_the_template_is_demanded_in_any_case(tmp_path):
    grow(tmp_path, "real/a.PNG", "real/b.jpg", "lama/c.png")
    found = scan(tmp_path, "template", ImportOptions(template="{generator}/{name}.png"))
    assert found.table["path"].tolist() == ["lama/c.png", "real/a.PNG"]


def test_a_label_field_stands_for_the_generator(tmp_path):
    grow(tmp_path, "nature/a.png", "ai/b.png")
    table = scan(tmp_path, "template", ImportOptions(template="{label}/{name}")).table
    assert rows(table, "label", "generator") == [(1, "ai"), (0, "real")]


def test_a_label_field_counts_before_the_name_of_the_generator(tmp_path):
    grow(tmp_path, "sd14/nature/a.png", "sd14/ai/b.png")
    table = scan(tmp_path, "template", ImportOptions(template="{generator}/{label}/{name}")).table
    assert rows(table, "label", "generator", "source") == [(1, "sd14", "sd14"), (0, "real", "sd14")]


def test_an_unknown_split_and_an_unknown_label_name_the_row(tmp_path):
    grow(tmp_path, "real/dev2/a.png")
    with pytest.raises(ManifestError, match="row 0: split is 'dev2', expected one of train, val, test"):
        scan(tmp_path, "template", ImportOptions(template="{generator}/{split}/{name}"))
    with pytest.raises(ManifestError, match=r"row 0: label is 'dev2', expected 0 or 1. Map it with --label dev2=1"):
        scan(tmp_path, "template", ImportOptions(template="{generator}/{label}/{name}"))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "layout 'template' needs --template"),
        ("{name}.png", "has neither {generator} nor {label}: add one"),
        ("{generator}/{path}", "{path} cannot be a field"),
        ("{generator}/{}", "{} cannot be a field: use a name such as {group}"),
    ],
)
def test_unusable_templates_are_refused(tmp_path, template, message):
    with pytest.raises(UsageError, match=message):
        scan(grow(tmp_path, "real/a.png"), "template", ImportOptions(template=template))


# table


def listing(root: Path, text: str) -> Path:
    (root / "list.csv").write_text(text)
    return root / "list.csv"


def test_a_listing_with_names_of_its_own_is_mapped(tmp_path):
    grow(tmp_path, "a.png", "b.png")
    path = listing(tmp_path, "filename,typ,iso\na.png,real_celeba,007\nb.png,glide,NA\n")
    table = scan(path, "table", ImportOptions(columns={"path": "filename", "generator": "typ"})).table
    assert rows(table, "path", "label", "generator", "iso", "source") == [
        ("a.png", 0, "real", "007", "real_celeba"),
        ("b.png", 1, "glide", "NA", "glide"),
    ]


def test_a_listing_may_lie_elsewhere_and_be_parquet(tmp_path):
    grow(tmp_path / "images", "a.png", "b.png")
    table = pd.DataFrame({"path": ["a.png", "b.png"], "label": [0, 1], "split": ["train", "validation"]})
    table.to_parquet(tmp_path / "list.parquet")
    found = scan(tmp_path / "images", "table", ImportOptions(listing=tmp_path / "list.parquet"))
    assert rows(found.table, "label", "generator", "split") == [(0, "real", "train"), (1, "fake", "val")]
    assert found.root == tmp_path / "images"


def test_labels_with_names_are_understood_or_mapped(tmp_path):
    path = listing(tmp_path, "path,label\na.png,real\nb.png,fake\nc.png,edited\n")
    with pytest.raises(
        ManifestError, match=r"list\.csv row 4: label is 'edited', expected 0 or 1. Map it with --label"
    ):
        scan(path, "table")
    table = scan(path, "table", ImportOptions(labels={"edited": 1})).table
    assert rows(table, "label", "generator") == [(0, "real"), (1, "fake"), (1, "edited")]


def test_listed_files_that_do_not_exist_stay_and_are_counted_or_are_left_out_on_demand(tmp_path):
    grow(tmp_path, "a.png", "b.png")
    path = listing(tmp_path, "path,generator\na.png,real\nb.png,lama\ngone.png,lama\n")
    found = scan(path, "table")
    assert len(found.table) == 3
    assert "1 listed file does not exist (gone.png): --skip-missing leaves it out" in found.notes
    assert rows(found.expected, "class", "expected", "found") == [("lama", 2, 1), ("real", 1, 1)]
    left_out = scan(path, "table", ImportOptions(skip_missing=True))
    assert left_out.table["path"].tolist() == ["a.png", "b.png"]
    assert rows(left_out.expected, "class", "expected", "found") == [("lama", 2, 1), ("real", 1, 1)]
    assert rows(left_out.ignored, "path", "reason") == [("gone.png", "listed, but does not exist")]


def test_an_empty_listing_and_one_with_a_header_alone_say_so(tmp_path):
    with pytest.raises(ManifestError, match=r"list\.csv is empty"):
        scan(listing(tmp_path, ""), "table")
    with pytest.raises(ManifestError, match=r"list\.csv: the listing has no rows"):
        scan(listing(tmp_path, "path,label\n"), "table")
    with pytest.raises(ManifestError, match=r"list\.csv: its cells are separated by semicolons: save it with commas"):
        scan(listing(tmp_path, "path;label\na.png;0\n"), "table")


def test_what_no_question_can_be_asked_of_is_noted_at_import(tmp_path):
    grow(tmp_path, "real/a.png", "lama/b.png", "lama/c.png")
    made, found = import_manifest(tmp_path, "class-folders", "m")
    assert made.folds == 0
    assert "fewer than 10 groups in a split: no interval can be given there" in found.notes
    assert any(note.startswith("too few groups: 1 of real images, 3 are needed") for note in found.notes)


def test_a_listing_without_the_needed_columns_says_what_there_is(tmp_path):
    path = listing(tmp_path, "file,what\na.png,real\n")
    with pytest.raises(UsageError, match="has columns file, what, but path and generator or label are needed"):
        scan(path, "table")
    with pytest.raises(UsageError, match=r"--column path=name: .* has no column 'name' .there are: file, what."):
        scan(path, "table", ImportOptions(columns={"path": "name"}))
    with pytest.raises(UsageError, match="is no file: layout 'table' needs a CSV or Parquet file"):
        scan(tmp_path, "table")


# The whole import


def test_an_import_is_split_reported_written_and_read_again(tmp_path):
    root = grow(tmp_path / "data", *(f"{name}/{i}.png" for name in ("real", "lama") for i in range(12)))
    made, found = import_manifest(root, "class-folders", "small", ImportOptions(domain="d"))
    assert made.folds == 5
    assert made.facts["split"]["rows"] == {"train": 16, "val": 4, "test": 4}
    assert made.facts["split"]["groups"] == {"train": 8, "val": 2, "test": 2}
    assert any("questions evaluate out of fold by group, 5 folds" in note for note in found.notes)
    made.write(tmp_path / "manifests")
    read = Manifest.read("small", tmp_path / "manifests")
    assert (read.sha256, read.folds, read.root) == (made.sha256, 5, root)
    assert read.facts["layout"] == "class-folders"
    assert all(path.is_file() for path in read.absolute_paths())
    again, _ = import_manifest(root, "class-folders", "small", ImportOptions(domain="d"))
    assert again.sha256 == made.sha256


def test_the_splits_of_the_data_are_kept(tmp_path):
    grow(tmp_path, "train/real/1.png", "test/lama/2.png")
    made, found = import_manifest(tmp_path, "template", "m", ImportOptions(template="{split}/{generator}/{name}"))
    assert made.table["split"].tolist() == ["test", "train"]
    assert made.folds == 0
    assert any(note.startswith("split as the data has it: 1 / 0 / 1 images") for note in found.notes)


def test_real_faces_are_imported_and_checked(shared_data):
    made, found = import_manifest(shared_data / "images" / "faces", "class-folders", "faces")
    assert len(made.table) == found.expected["found"].sum() == 1116
    assert found.ignored.empty
    assert set(made.table.loc[made.table["label"] == 0, "source"]) == {
        "real_celeba",
        "real_portrait",
        "real_unsplash",
    }
    assert made.table.groupby("source")["split"].nunique().eq(3).all()
    assert made.folds == 0
    assert check(made).problems.empty
