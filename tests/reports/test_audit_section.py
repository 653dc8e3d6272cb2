"""Audits in the report: what is bad stands before every number, the rest in its place."""

from probekit import reports

from . import run_folders
from .page_checks import check

ROW = {"over": "all", "train": "lama", "test": "lama", "seen": True, "n_train": 60, "n_real": 20, "n_fake": 20}


def audited(verdict="bad", **more):
    findings = [
        {"severity": verdict, "topic": "shortcuts", "sentence": "File properties <b>alone</b> tell.", "numbers": {}},
        {"severity": "good", "topic": "files", "sentence": "All 60 samples can be read.", "numbers": {}},
    ]
    pairs = [ROW | {"by": "file properties", "auc": 0.97, "auc_ci": [0.9, 1.0]}]
    pairs.append(ROW | {"by": "clip#proj", "auc": 0.91, "auc_ci": None, "gain": -0.06, "gain_ci": [-0.1, 0.0]})
    attribution = [{"over": "all", "by": "file properties", "n_classes": 3, "balanced_acc": 0.88, "chance": 1 / 3}]
    shortcuts = {"pairs": pairs, "attribution": attribution, "alone": [], "matching": []}
    return {
        "verdict": verdict,
        "findings": findings,
        "shortcuts": shortcuts,
        "classes": [{"n": 3}],
        "notes": [],
        **more,
    }


def page_of(tmp_path, part):
    runs = [
        run_folders.write_run(tmp_path, "probe", {"runs": [run_folders.binary()]}),
        run_folders.write_run(tmp_path, "audit", {"runs": [part]}),
    ]
    return reports.build(runs)


def test_a_bad_verdict_stands_before_everything_else(tmp_path):
    html = page_of(tmp_path, audited())
    assert html.index("File properties &lt;b&gt;alone") < html.index('id="run-1"')
    assert "Do not believe this data set’s numbers yet." in html
    assert "<b>alone</b>" not in html
    check(html)


def test_a_good_verdict_stands_in_its_place(tmp_path):
    html = page_of(tmp_path, audited("good"))
    assert "Nothing was found that would flatter a probe." in html
    assert "Do not believe" not in html


def test_file_properties_stand_in_the_table_of_headlines_beside_the_models(tmp_path):
    text = check(page_of(tmp_path, audited())).text
    assert "File properties alone" in text
    assert "AUC, same generator" in text
    assert "0.970" in text
    assert "0.880" in text


def test_an_audit_without_shortcuts_has_a_page(tmp_path):
    check(page_of(tmp_path, audited("warn", shortcuts=None)))
