"""The report as text: what it says, what it escapes, what it refuses."""

import json
import math
import re

import pandas as pd
import pytest

from probekit import reports
from probekit.errors import RunError

from . import run_folders
from .page_checks import check

NASTY = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


def test_a_demo_report_is_well_formed_and_loads_nothing(tmp_path):
    html = reports.build(run_folders.demo(tmp_path), None)
    page = check(html)
    assert len(html.encode()) < 1_000_000
    for heading in (
        "Overview",
        "Extraction",
        "Train/test matrices",
        "Attribution",
        "Retrieval",
        "Map",
        "Provenance",
    ):
        assert heading in page.text


def test_the_same_folders_give_the_same_bytes(tmp_path):
    folders = run_folders.demo(tmp_path)
    assert reports.build(folders, "Twice") == reports.build(list(reversed(folders)), "Twice")


def test_names_that_look_like_markup_stay_text(tmp_path):
    html = reports.build(run_folders.demo(tmp_path, nasty=NASTY), f"Title {NASTY}")
    page = check(html)
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert sum(attrs.get("type") != "application/json" for attrs in scripts) == 1
    assert page.text.count("<script>alert(1)</script>") > 5
    assert "onerror" not in [name for _, attrs in page.tags for name in attrs]


def test_the_policy_allows_this_script_alone(tmp_path):
    page = check(reports.build(run_folders.demo(tmp_path), None))
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "http" not in policy


def test_the_words_of_the_overview_hold_the_numbers_of_the_runs(tmp_path):
    part = run_folders.binary()
    for pair in part["pairs"]:
        pair["auc"] = 0.9 if pair["train"] == pair["test"] else 0.6
    part["pairs"][1]["auc"] = 0.31
    page = check(reports.build([run_folders.write_run(tmp_path, "probe", {"runs": [part]})], None))
    assert "AUC 0.900 on the generator it was trained on, 0.310–0.600 on others" in page.text
    assert "lowest: telea → navier-stokes" in page.text
    assert "AUC, other generators 0.600" in page.text


def extraction(model="npr", address="1a2b", **changes):
    return {"model": model, "address": address, "rows": 6, "done": 6, "failed": 0, "computed": 6} | changes


def test_runs_of_one_kind_have_titles_that_tell_them_apart(tmp_path):
    same = run_folders.retrieval()
    folders = [
        run_folders.write_run(tmp_path, "retrieve", {"runs": [same]}),
        run_folders.write_run(tmp_path, "retrieve", {"runs": [same | {"model": "clip"}]}),
        run_folders.write_run(tmp_path, "retrieve", {"runs": [same]}, manifest={"name": "faces", "n": 9}),
        run_folders.write_run(tmp_path, "retrieve", {"runs": [same]}),
    ]
    titles = re.findall(r'<li><a href="#run-\d+">(.*?)</a>', reports.build(folders))
    assert len(set(titles)) == 4
    assert "Retrieval · clip#blocks" in titles
    assert "Retrieval · npr+srm#blocks · faces" in titles


def test_of_several_extractions_into_one_store_the_last_is_shown_and_the_rest_is_folded(tmp_path):
    folders = [
        run_folders.write_run(tmp_path, "extract", {"models": [extraction()]}, started="2026-01-01T10:00:00+00:00"),
        run_folders.write_run(tmp_path, "extract", {"models": [extraction("srm", "3c4d")]}),
        run_folders.write_run(tmp_path, "extract", {"models": [extraction(computed=0)]}),
    ]
    html = reports.build(folders)
    titles = re.findall(r'<li><a href="#run-\d+">(.*?)</a>', html)
    assert len(titles) == len(set(titles)) == 2
    assert html.count("An earlier run into the same store") == 1


def test_a_run_that_computed_nothing_has_no_speed(tmp_path):
    result = {"models": [extraction(computed=0)], "seconds": 0.2, "images_per_second": 30000.0}
    page = check(reports.build([run_folders.write_run(tmp_path, "extract", result)]))
    assert "images/s" not in page.text
    assert "everything was there already" in page.text


def test_retrieval_says_how_many_queries_were_scored(tmp_path):
    part = run_folders.retrieval() | {"n_queries": 1135, "n_scored": 908}
    page = check(reports.build([run_folders.write_run(tmp_path, "retrieve", {"runs": [part]})]))
    assert page.text.count("908 of 1,135 queries scored") == 2


def test_failed_images_stand_in_the_report_with_their_reasons(tmp_path):
    text = check(reports.build(run_folders.demo(tmp_path), None)).text
    assert "2 images failed" in text
    assert "images/empty.png" in text
    assert "0 bytes" in text


def test_a_matrix_names_both_axes_and_carries_every_metric(tmp_path):
    html = reports.build([run_folders.write_run(tmp_path, "probe", {"runs": [run_folders.binary()]})], None)
    page = check(html)
    assert "Tested on" in page.text
    assert "Trained on" in page.text
    cells = json.loads(html.split("data-cells>")[1].split("</script>")[0])
    assert set(cells["layers"]) == {"auc", "acc", "balanced_acc", "ap", "eer"}
    first = run_folders.pairs()[0]
    assert cells["layers"]["auc"]["text"][0][0] == f"{first['auc']:.3f}"
    details = dict(cells["details"][0][0])
    assert details["Training images"] == "192"
    assert details["Test images"] == "48"
    assert details["AUC, 95 % interval"] == "–".join(f"{bound:.3f}" for bound in first["auc_ci"])
    assert details["Selection: C"] == "0.1"
    assert details["Selection: By"].startswith("log-loss over 5 folds")


def test_missing_and_undefined_numbers_are_dashes(tmp_path):
    part = {
        "model": "npr",
        "pairs": [{"train": "a", "test": "a", "auc": None, "acc": 0.5}, {"train": "a", "test": "b"}],
    }
    runs = [
        run_folders.write_run(tmp_path, "probe", {"runs": [part, {"task": "attribution", "classes": ["real", "a"]}]}),
        run_folders.write_run(tmp_path, "retrieve", {"runs": [{"model": "npr"}]}),
        run_folders.write_run(tmp_path, "map", {"runs": [{}]}),
        run_folders.write_run(tmp_path, "extract", {"models": [{"model": "npr"}]}),
        run_folders.write_run(tmp_path, "extract", None),
    ]
    page = check(reports.build(runs, None))
    assert "rank-1 –, mAP –" in page.text
    assert "npr: – of – rows done; – failed." in page.text
    assert "nan" not in page.text.lower().split()
    assert "None" not in page.text


def test_retrieval_shows_the_gallery_and_what_is_unresolvable(tmp_path):
    folder = run_folders.write_run(tmp_path, "retrieve", {"runs": [run_folders.retrieval()]})
    text = check(reports.build([folder], None)).text
    for words in (
        "Rank-10 mAP",
        "3 generators enrolled (N = 288 rows)",
        "rank-1 0.710 (0.660–0.750), mAP 0.460 (240 queries, 360 in the gallery)",
        "0.520–0.630",
        "0.003 unresolvable –",
        "240 360",
        "No validation rows",
    ):
        assert words in text


def test_retrieval_in_the_short_form_is_shown_too(tmp_path):
    part = run_folders.retrieval() | {
        "open_set": {"n_enrolled": 288, "auroc": 0.58, "dir": [{"fpir": 0.003, "dir": "unresolvable"}]}
    }
    text = check(reports.build([run_folders.write_run(tmp_path, "retrieve", {"runs": [part]})], None)).text
    assert "N enrolled 288" in text
    assert "0.003 unresolvable" in text


def test_an_unknown_command_is_shown_by_its_answer_tables_and_figures(tmp_path):
    folder = run_folders.write_run(
        tmp_path,
        "weigh",
        {
            "verdict": "a shortcut",
            "auc": 0.93,
            "rows": [{"a": 1, "inner": {"b": 0.25}}, {"a": None}],
            "none": [],
        },
        tables={"long": pd.DataFrame({"value": range(150), "score": [math.nan] * 150})},
        figures={"weights": run_folders.picture()},
    )
    page = check(reports.build([folder], None))
    for words in (
        "Weigh",
        "a shortcut",
        "0.930",
        "150 rows",
        "The first 100 of 150 rows",
        "The weights of the demo.",
    ):
        assert words in page.text
    assert any(src.startswith("data:image/png;base64,") for src in page.values("src"))


def test_two_views_of_one_model_are_told_apart(tmp_path):
    parts = [run_folders.binary(), run_folders.binary(view="center224")]
    text = check(reports.build([run_folders.write_run(tmp_path, "probe", {"runs": parts})], None)).text
    assert "npr+srm#blocks · native · float32" in text
    assert "npr+srm#blocks · center224 · float32" in text


def test_a_run_that_did_not_end_well_says_so(tmp_path):
    with (
        pytest.raises(ValueError, match="no luck"),
        run_folders.records.start("probe", {"C": 1}, runs=tmp_path),
    ):
        raise ValueError("no luck with <b>")
    text = check(reports.build(list(tmp_path.iterdir()), None)).text
    assert "recorded as failed" in text
    assert "ValueError: no luck with <b>" in text


def test_nothing_outside_a_run_folder_is_read(tmp_path):
    (tmp_path / "secret.png").write_bytes(run_folders.picture())
    folder = run_folders.write_run(tmp_path, "probe", {})
    record = json.loads((folder / "run.json").read_text())
    record["figures"] = {"../../secret.png": "not mine"}
    record["tables"] = ["../../secret"]
    (folder / "run.json").write_text(json.dumps(record))
    page = check(reports.build([folder], None))
    assert page.values("src") == []
    assert "not in the folder: ../../secret, ../../secret.png" in page.text


def test_a_table_of_an_earlier_run_in_the_same_folder_is_not_shown(tmp_path):
    for tables in ({"failed": pd.DataFrame({"path": ["old.png"], "reason": ["gone"]})}, {}):
        with run_folders.records.start("extract", {}, runs=tmp_path, folder="extract") as run:
            for name, table in tables.items():
                run.table(name, table)
    assert "old.png" not in check(reports.build([tmp_path / "extract"], None)).text


def test_commands_are_quoted_for_a_shell(tmp_path):
    folder = run_folders.write_run(tmp_path, "probe", {}, command=["probekit", "probe", "--manifest", "my faces.csv"])
    assert "probekit probe --manifest 'my faces.csv'" in check(reports.build([folder], None)).text


def test_versions_that_differ_between_runs_are_flagged(tmp_path):
    folders = [run_folders.write_run(tmp_path, "probe", {}, versions={"numpy": v}) for v in ("2.0", "2.1")]
    assert "numpy 2.0, 2.1 runs differ" in check(reports.build(folders, None)).text


def test_no_runs_and_broken_runs_are_one_clear_line(tmp_path):
    with pytest.raises(RunError, match="no runs to report on"):
        reports.build([], None)
    with pytest.raises(RunError, match=r"no run\.json"):
        reports.build([tmp_path], None)
    folder = run_folders.write_run(tmp_path, "probe", {}, tables={"pairs": pd.DataFrame({"a": [1]})})
    (folder / "tables" / "pairs.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(RunError, match=r"pairs\.parquet cannot be read"):
        reports.build([folder], None)
