"""What the page says before anything else: the alerts of its sections."""

import re
from collections.abc import Iterator

import pandas as pd
import pytest

from probekit import reports
from probekit.reports.section import Alert, sections
from probekit.reports.sections.extract import ExtractSection

from . import run_folders
from .page_checks import check

LEAK = Alert("serious", "12 groups stand in train and in <test>.")
BYTES = Alert("caution", "File size alone gives AUC 0.930.", "failed")


class Suspicious(ExtractSection):
    """A command that finds fault, with the place that its alert names."""

    def alerts(self, run):
        return [BYTES, LEAK]


@pytest.fixture
def suspicious(monkeypatch) -> Iterator[None]:
    sections.names()  # the folder is scanned, so that it does not take the name for ever
    monkeypatch.setitem(sections._parts, "inspect", Suspicious)
    return


def inspected(runs):
    failed = {"failed": pd.DataFrame({"path": ["a.png"], "reason": ["0 bytes"]})}
    return run_folders.write_run(runs, "inspect", {"models": [{"model": "npr"}]}, tables=failed)


@pytest.mark.usefixtures("suspicious")
def test_alerts_stand_before_every_number_the_serious_first_and_lead_to_their_place(tmp_path):
    asked = run_folders.write_run(tmp_path, "probe", {"runs": [run_folders.binary()]})
    html = reports.build([inspected(tmp_path), asked])
    text = check(html).text
    serious, caution = (text.index(alert.sentence) for alert in (LEAK, BYTES))
    assert text.index("Before you trust these numbers") < serious < caution < text.index("AUC, same generator")
    assert re.findall(r'<li class="\w+">.*?href="(#.*?)"', html)[:2] == ["#run-1", "#run-1-failed"]


@pytest.mark.usefixtures("suspicious")
def test_the_same_alert_of_several_runs_is_said_once_and_leads_to_all_of_them(tmp_path):
    html = reports.build([inspected(tmp_path) for _ in range(3)])
    assert check(html).text.count(LEAK.sentence) == 1
    serious, caution = re.findall(r'<li class="(?:serious|caution)">.*?</li>', html)
    assert re.findall('href="(.*?)"', serious) == ["#run-1", "#run-2", "#run-3"]
    assert re.findall('href="(.*?)"', caution) == ["#run-1-failed", "#run-2-failed", "#run-3-failed"]
    titles = re.findall("<a .*?>(.*?)</a>", serious)
    assert len(set(titles)) == 3
    assert "</a>, <a" in serious


@pytest.mark.usefixtures("suspicious")
def test_what_one_run_says_twice_leads_there_once(tmp_path, monkeypatch):
    monkeypatch.setattr(Suspicious, "alerts", lambda self, run: [LEAK, LEAK])
    html = reports.build([inspected(tmp_path)])
    assert re.findall('href="(.*?)"', re.findall(r'<li class="serious">.*?</li>', html)[0]) == ["#run-1"]


def test_images_that_failed_are_an_alert_of_the_extraction(tmp_path):
    page = check(reports.build(run_folders.demo(tmp_path)))
    assert "Caution. 2 images could not be read or computed: no result is about them. Extraction" in page.text
    assert "#run-1-failed" in page.values("href")


def test_a_page_without_alerts_has_no_place_for_them(tmp_path):
    page = check(reports.build([run_folders.write_run(tmp_path, "extract", {"models": [{"model": "npr"}]})]))
    assert "Before you trust" not in page.text


@pytest.fixture
def probed(tmp_path):
    """A probe of the demo's manifest with these facts changed."""

    def made(verb="probe", settings=None, **changes):
        answers = {"runs": [run_folders.binary()]} if verb == "probe" else {"runs": []}
        facts = {"settings": settings} if settings else {}
        return run_folders.write_run(tmp_path, verb, answers, manifest={**run_folders.MANIFEST, **changes}, **facts)

    return made


def unaudited(*folders):
    """The manifests that the page says there is no audit of, as it lists them."""
    return re.findall(r"There is no audit of (.*?) among these runs: whether", check(reports.build(folders)).text)


def test_a_page_of_probes_without_an_audit_says_that_shortcuts_are_not_known(probed):
    assert unaudited(probed()) == ["demo"]
    assert unaudited(probed(), probed("audit")) == []
    assert unaudited(probed("retrieve"), probed("map")) == ["demo"]
    assert unaudited(probed("map")) == []


def test_an_audit_of_the_normalised_copy_does_not_clear_the_original(probed):
    copy = {"name": "demo-normalised", "sha256": "ab" * 32}
    assert unaudited(probed(), probed("audit", **copy)) == ["demo"]
    assert unaudited(probed(**copy), probed(), probed(name="x", sha256="1" * 64), probed("audit", **copy)) == [
        "demo and x"
    ]
    assert unaudited(probed(**copy), probed("audit", **copy)) == []


def test_of_equal_names_the_hash_says_which_manifest_has_no_audit(probed):
    assert unaudited(probed(), probed("audit", sha256="ab" * 32)) == ["demo (sha256 5e5e5e5e…)"]


def test_every_manifest_without_an_audit_is_named_however_many_there_are(probed):
    folders = [probed(name=f"m{i}", sha256=f"{i:064}") for i in range(9)]
    assert unaudited(*folders) == ["m0, m1, m2, m3, m4, m5, m6, m7 and m8"]


def test_an_audit_that_failed_or_does_not_know_its_manifest_clears_nothing(probed, tmp_path):
    failed = probed("audit")
    record = (failed / "run.json").read_text(encoding="utf-8")
    (failed / "run.json").write_text(record.replace('"status": "done"', '"status": "failed"'), encoding="utf-8")
    assert unaudited(probed(), failed) == ["demo"]
    assert unaudited(probed(sha256=None), probed("audit", sha256=None)) == ["demo"]


def test_the_manifest_that_queries_came_from_needs_an_audit_too(probed):
    other = {"name": "elsewhere", "sha256": "cd" * 32}
    asked = probed("retrieve", {"query_manifest": other["sha256"]})
    assert unaudited(asked, probed("audit")) == ["the queries' manifest (sha256 cdcdcdcd…)"]
    assert unaudited(asked, probed("audit"), probed("map", **other)) == ["elsewhere"]
    assert unaudited(asked, probed("audit"), probed("audit", **other)) == []
