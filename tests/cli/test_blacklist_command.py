"""`probekit blacklist`: every verb as typed, and one line for what it cannot do."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from probekit.blacklist import Blacklist
from probekit_cli import output
from tests.cli.test_commands import one_line
from tests.extract.conftest import write_image


@pytest.fixture
def pictures(tmp_path):
    """Folders of pictures: real ones, and those of two generators and of one that nobody registers."""
    for kind, shift in (("real", 0), ("lama", 100), ("ldm", 200), ("sd", 300)):
        for number in range(12):
            write_image(tmp_path / "faces" / kind / f"{number:02d}.png", number + shift, size=(48, 48))
    return tmp_path / "faces"


@pytest.fixture
def watch(type_, pictures):
    """A blacklist with ten examples of each of two generators."""
    assert type_("probekit blacklist create watch --model npr").code == 0
    for generator in ("lama", "ldm"):
        for number in range(10):
            (pictures / f"{generator}-shots").mkdir(exist_ok=True)
            shutil.copy(pictures / generator / f"{number:02d}.png", pictures / f"{generator}-shots")
        answer = type_(f"probekit blacklist register {generator} --from faces/{generator}-shots")
        assert answer.code == 0, answer.err
    return Path("blacklists/watch")


def said(answer) -> dict:
    assert answer.code in (0, 1), answer.err
    return json.loads(answer.out)


def test_an_image_finds_its_generator_and_a_registered_one_itself(type_, watch):
    answer = type_("probekit blacklist match faces/lama/03.png faces/ldm/11.png --threshold 0.99 --top 3 --json")
    found = said(answer)
    first, second = found["matches"]
    assert (first["path"], first["generator"], first["score"]) == ("faces/lama/03.png", "lama", 1.0)
    assert first["nearest"][0]["example_path"].endswith("lama-shots/03.png")
    assert len(first["nearest"]) == len(second["nearest"]) == 3
    assert second["score"] == second["nearest"][0]["similarity"] < 1
    assert (found["threshold"], found["expected_fpir"], found["engine"]) == (0.99, None, "flat")
    assert "its FPIR is not known" in answer.err
    record = json.loads((Path(found["run"]) / "run.json").read_text())
    assert (record["verb"], record["status"], record["result"]["blacklist"]) == ("blacklist-match", "done", "watch")
    assert "matches" not in record["result"]
    assert len(pd.read_parquet(Path(found["run"]) / "tables" / "nearest.parquet")) == 6


def test_without_a_threshold_nothing_is_called_and_it_is_said(type_, watch):
    answer = type_("probekit blacklist match faces/sd")
    assert answer.code == 0, answer.err
    assert "no threshold" in answer.out
    assert "answer" not in answer.out
    assert "run `probekit blacklist calibrate`" in answer.err


def test_a_threshold_is_set_kept_shown_and_called_stale(type_, watch):
    answer = type_("probekit blacklist calibrate --fpir 0.1 --real faces/real --json")
    found = said(answer)
    assert {pool["pool"]: pool["n"] for pool in found["pools"]} == {"real": 12, "registered": 20}
    threshold = found["calibration"]["threshold"]
    assert threshold == max(pool["threshold"] for pool in found["pools"])
    match = said(type_("probekit blacklist match faces/real --json"))
    assert (match["threshold"], match["expected_fpir"]) == (threshold, 0.1)
    assert match["counts"].get("unknown", 0) >= 11  # at most 10 % of the very images that set it
    shown = type_("probekit blacklist list")
    assert "12 real, 20 registered" in shown.out
    assert "faces/real (12 images)" in shown.out
    answer = type_("probekit blacklist register sd --from faces/sd --shots 3")
    assert "calibrate again" in answer.err
    assert "3 added" in type_("probekit blacklist list").out
    stale = type_("probekit blacklist match faces/real/00.png")
    assert "expected FPIR not known" in stale.out
    assert "3 added" in stale.err


def test_an_fpir_that_the_pools_cannot_resolve_sets_nothing(type_, watch):
    answer = type_("probekit blacklist calibrate --fpir 0.01 --real faces/real")
    assert answer.code == 2
    assert answer.out.count("unresolvable") == 2
    assert "needs 100 searches" in answer.err
    assert "--pool" not in answer.err
    one = type_("probekit blacklist calibrate --fpir 0.06 --real faces/real")
    assert (one.code, "--pool registered" in one.err) == (2, True), one.err
    assert "no threshold is set" in type_("probekit blacklist list").err


def test_list_shows_generators_examples_and_where_they_are_from(type_, watch):
    shown = type_("probekit blacklist list")
    assert shown.code == 0, shown.err
    assert all(word in shown.out for word in ("npr#blocks", "20 examples", "lama", "ldm", "faces/lama-shots"))
    found = said(type_("probekit blacklist list lama --examples --json"))
    assert found["generators"] == {"lama": 10}
    assert [len(example["id"]) for example in found["examples"]] == [64] * 10
    assert found["examples"][0]["path"].endswith("00.png")
    one = found["examples"][4]["id"]
    assert one[:12] in type_("probekit blacklist list --examples").out
    answer = type_(f"probekit blacklist unregister --id {one[:10]}")
    assert answer.code == 0, answer.err
    assert "1 example of lama removed, 9 left" in answer.err
    assert said(type_("probekit blacklist unregister ldm --json"))["removed"] == {"ldm": 10}
    assert said(type_("probekit blacklist list --json"))["generators"] == {"lama": 9}


def test_rows_of_a_manifest_are_registered_and_matched(type_, pictures):
    assert type_("probekit manifest import faces --name faces --group none").code == 0
    assert type_("probekit blacklist create watch --model npr").code == 0
    done = said(type_("probekit blacklist register lama --from manifest:faces --split train --shots 4 --json"))
    assert (done["added"], done["examples"]) == (4, 4)
    again = said(type_("probekit blacklist register lama --from manifest:faces --split train --shots 4 --json"))
    assert (again["added"], again["present"]) == (0, 4)  # the same drawing
    done = said(type_("probekit blacklist register diffusion --of ldm --from manifest:faces --split train --json"))
    assert done["generator"] == "diffusion"
    found = said(type_("probekit blacklist match manifest: --split test --threshold 0.9 --json"))
    truths = {match["path"].split("/")[0] for match in found["matches"]}
    assert truths == {match["truth"] for match in found["matches"]} == {"real", "lama", "ldm", "sd"}
    assert {row["truth"] for row in found["truth"]["answers"]} == truths
    assert {pool["pool"] for pool in found["truth"]["pools"]} == {"real", "unregistered"}
    shown = type_("probekit blacklist match manifest: --split test --threshold 0.9")
    for word in ("its own name", "Named falsely", "unregistered generators", "not known", "DIR", "nearest generator"):
        assert word in shown.out
    assert shown.out.index("Named falsely") < shown.out.index("similarity")  # the summary comes first
    examples = said(type_("probekit blacklist list --examples --json"))["examples"]
    assert {example["manifest"] for example in examples} == {"faces"}
    one_line(type_("probekit blacklist register glide --from manifest:faces"), "glide", "faces")
    one_line(type_("probekit blacklist match faces/sd --split test"), "--split", "manifest:NAME")
    one_line(type_("probekit blacklist match faces/sd manifest:faces"), "not both")


def test_unreadable_images_are_listed_and_counted(type_, watch, pictures):
    (pictures / "sd" / "00.png").write_text("no image")
    (pictures / "cut.png").write_bytes((pictures / "real" / "00.png").read_bytes()[:60])
    answer = type_("probekit blacklist match faces/sd faces/cut.png --threshold 0.9 --json")
    found = json.loads(answer.out)
    assert answer.code == 1
    assert "2 images without features" in answer.err
    assert [failed["path"] for failed in found["failed"]] == ["faces/cut.png", "faces/sd/00.png"]
    assert len(found["matches"]) == 11
    assert (Path(found["run"]) / "tables" / "failed.csv").exists()
    only = type_("probekit blacklist match faces/cut.png")
    assert (only.code, "faces/cut.png" in only.err) == (1, True), only.err
    answer = type_("probekit blacklist register sd --from faces/sd")
    assert answer.code == 1
    assert "11 examples of sd registered" in answer.err
    assert "1 image without features" in answer.err


def test_a_blacklist_travels_as_one_file_and_is_verified(type_, watch):
    assert type_("probekit blacklist export watch.zip").code == 0
    one_line(type_("probekit blacklist export watch.zip"), "--force")
    assert type_("probekit blacklist import watch.zip --name theirs").code == 0
    command = "probekit blacklist match faces/sd --threshold 0.9 --json"
    ours, theirs = (said(type_(f"{command} -b {name}"))["matches"] for name in ("watch", "theirs"))
    assert ours == theirs
    one_line(type_(command), "several blacklists", "theirs, watch")
    overview = type_("probekit blacklist list")
    assert [line.split()[0] for line in overview.out.splitlines()] == ["name", "theirs", "watch"]
    assert said(type_("probekit blacklist list --json"))["blacklists"][1]["examples"] == 20
    assert "--blacklist third" in type_("probekit blacklist create third --model npr").err
    assert "every byte" in type_("probekit blacklist verify -b theirs").err
    (vectors,) = Path("blacklists/theirs/segments").glob("*vectors.npy")
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(data)
    answer = type_("probekit blacklist verify -b theirs")
    assert (answer.code, vectors.name in answer.err) == (2, True)
    packed = bytearray(Path("watch.zip").read_bytes())
    packed[300] ^= 1
    Path("bad.zip").write_bytes(packed)
    one_line(type_("probekit blacklist import bad.zip --name bad"), "bad.zip")
    assert not Path("blacklists/bad").exists()


def test_several_parts_stand_side_by_side(type_, pictures):
    assert type_("probekit blacklist create both --model npr+srm").code == 0
    assert type_("probekit blacklist register lama --from faces/lama").code == 0
    found = said(type_("probekit blacklist match faces/lama/03.png --threshold 0.9 --json"))
    assert (found["features"], found["matches"][0]["score"]) == ("npr#blocks+srm#blocks", 1.0)


def test_what_need_not_be_computed_for_is_refused_before(type_, pictures):
    assert type_("probekit blacklist create empty --model npr").code == 0
    before = sorted(Path("cache").rglob("*"))
    one_line(type_("probekit blacklist match faces/sd"), "no examples yet")
    one_line(type_("probekit blacklist calibrate --real faces/real"), "no examples yet")
    one_line(type_("probekit blacklist register unknown --from faces/sd"), "unknown", "taken")
    one_line(
        type_("probekit blacklist register sd --from faces/sd --from a.png --from b"), "a.png does not exist", "2 of"
    )
    assert sorted(Path("cache").rglob("*")) == before  # nothing was extracted
    done = type_("probekit blacklist register sd --from faces/sd/00.png --from faces/real/00.png --shots 500")
    assert (done.code, "only 2 of 500" in done.err) == (0, True), done.err
    one_line(type_("probekit blacklist match faces/lama --fpir 0.2"), "0.2")
    assert len(Blacklist.open(Path("blacklists/empty"))) == 2


def test_a_copied_folder_is_called_by_its_own_name(type_, watch):
    shutil.copytree(watch, watch.parent / "copy")
    listed = type_("probekit blacklist list -b copy")
    assert listed.out.startswith("copy · ")
    assert "the folder copy was written as blacklist watch" in listed.err
    assert said(type_("probekit blacklist match faces/sd -b copy --json"))["blacklist"] == "copy"
    assert type_("probekit blacklist unregister ldm -b copy").code == 0
    assert "written as" not in type_("probekit blacklist list -b copy").err  # a change makes it its own
    assert "written as" not in type_("probekit blacklist list -b watch").err


def test_an_interrupted_registration_says_what_is_kept_in_one_line(type_, watch, monkeypatch):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("probekit.blacklist.images._fill", interrupt)
    answer = type_("probekit blacklist register sd --from faces/sd")
    assert (answer.code, answer.err.strip().count("\n")) == (130, 0)
    assert "stopped: nothing was registered; features that were computed are kept" in answer.err
    answer = type_("probekit blacklist match faces/sd")
    assert (answer.code, "stopped: what was recorded before is kept" in answer.err) == (130, True)


def test_other_weights_or_versions_of_the_model_are_refused_in_one_line(type_, watch, monkeypatch):
    from dataclasses import replace

    from probekit.models import npr

    monkeypatch.setattr(npr, "CARD", replace(npr.CARD, settings={"version": 99}))
    one_line(type_("probekit blacklist match faces/sd"), "npr#blocks", "model settings")


BAD = (
    ("create watch --model npr", ["exists already"]),
    ("create a/b --model npr", ["cannot name a blacklist"]),
    ("create new --model nprr", ["npr"]),
    ("create new --model npr#cls", ["cls"]),
    ("register real --from faces/real", ["real"]),
    ("register ldm --from faces/lama", ["registered as an example of lama"]),
    ("unregister", ["--id"]),
    ("unregister lamma", ["lama"]),
    ("list sd", ["sd"]),
    ("match faces/sd --index annoy", ["--index", "annoy"]),
    ("match faces/sd --fpir 0.2", ["0.2", "calibrate"]),
    ("match faces/sd --threshold 2", ["--threshold"]),
    ("match faces/sd -b other", ["other"]),
    ("calibrate --fpir 2", ["--fpir"]),
    ("calibrate --pool both", ["--pool"]),
    ("calibrate --real faces/lama", ["registered as an example of lama"]),
    ("import nothing.zip", ["nothing.zip"]),
    ("match faces/sd --weights file", ["--weights"]),
)


def test_bad_input_ends_in_one_line(type_, watch):
    for command, words in BAD:
        one_line(type_(f"probekit blacklist {command}"), *words)


def test_tables_fit_the_terminal(type_, watch, monkeypatch):
    assert type_("probekit blacklist calibrate --fpir 0.1 --real faces/real").code == 0
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        assert output.stdout().width == width
        for command in ("list", "list --examples", "match faces/sd", "match faces/sd --top 2"):
            answer = type_(f"probekit blacklist {command}")
            assert answer.code == 0, answer.err
            assert max(map(len, answer.out.splitlines()[1:])) <= width  # beneath the title


def test_matches_are_shown_by_twenty_with_whole_file_names(type_, watch, pictures, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    answer = type_("probekit blacklist match faces/sd faces/real faces/lama --threshold 0.9")
    assert answer.code == 0, answer.err
    rows = [line for line in answer.out.splitlines() if line.startswith("faces")]
    assert len(rows) == 20
    assert "and 16 more" in answer.err
    assert all(".png " in row and "…" not in row.split(".png ")[1] for row in rows)
    assert [line.split() for line in answer.out.splitlines() if line.startswith("image ")] == [
        ["image", "answer", "nearest", "generator", "similarity"]
    ]


def test_frames_of_a_video_are_registered_as_one_group_and_matched(type_, watch):
    from tests.sources.conftest import make_video

    pytest.importorskip("av", reason="frames of videos are read by PyAV, which is not installed")
    make_video(Path("one.mp4"), frames=12)
    added = said(type_("probekit blacklist register sora --from one.mp4 --frames 4 --json"))
    assert (added["added"], added["failed"]) == (4, 0)
    examples = Blacklist.open(watch).examples("sora")
    assert examples["path"].str.contains("one.mp4 frame=").all()
    assert examples["group"].nunique() == 1
    found = said(type_("probekit blacklist match one.mp4 --frames 4 --threshold 0.5 --json"))
    assert [match["generator"] for match in found["matches"]] == ["sora"] * 4
    assert {match["score"] for match in found["matches"]} == {1.0}
    shutil.copy("one.mp4", "faces/real/clip.mp4")
    one_line(type_("probekit blacklist register movie --from one.mp4 --frames 0"), "one.mp4", "left out by --frames 0")
    assert "one.mp4" in next(line for line in type_("probekit blacklist list").out.splitlines() if "sora" in line)
    without = said(type_("probekit blacklist match faces/real --frames 0 --threshold 0.5 --json"))
    assert len(without["matches"]) == 12


def test_of_several_views_the_one_that_covers_the_manifest_or_the_usual_one_is_taken(type_, pictures):
    assert type_("probekit manifest import faces --name faces --group none").code == 0
    assert type_("probekit extract --model srm").code == 0
    assert type_("probekit blacklist create other --model srm --view resize").code == 0
    assert type_("probekit blacklist register lama --from faces/lama/00.png").code == 0  # into a second store
    probed = type_("probekit retrieve --model srm --bootstrap 0 --no-sheets --json")
    assert probed.code == 0, probed.err
    (answer,) = json.loads(probed.out)["runs"]
    made = type_("probekit blacklist create watch --model srm")
    assert made.code == 0, made.err
    assert Blacklist.open(Path("blacklists/watch")).record.blocks[0].settings.view_name == answer["view"]
    assert "other views, too (srm#blocks: resize" in made.err
    assert type_("probekit extract --model srm --view resize").code == 0
    one_line(type_("probekit retrieve --model srm"), "several stores have srm", "--view")
