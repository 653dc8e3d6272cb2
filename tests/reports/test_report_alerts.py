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
def test_the_same_alert_of_two_runs_is_said_once(tmp_path):
    text = check(reports.build([inspected(tmp_path), inspected(tmp_path)])).text
    assert text.count(LEAK.sentence) == 1


def test_images_that_failed_are_an_alert_of_the_extraction(tmp_path):
    page = check(reports.build(run_folders.demo(tmp_path)))
    assert "Caution. 2 images could not be read or computed: no result is about them. Extraction" in page.text
    assert "#run-1-failed" in page.values("href")


def test_a_page_without_alerts_has_no_place_for_them(tmp_path):
    page = check(reports.build([run_folders.write_run(tmp_path, "extract", {"models": [{"model": "npr"}]})]))
    assert "Before you trust" not in page.text


def test_a_page_of_probes_without_an_audit_says_that_shortcuts_are_not_known(tmp_path, monkeypatch):
    sections.names()
    monkeypatch.setitem(sections._parts, "audit", Suspicious)
    asked = run_folders.write_run(tmp_path, "probe", {"runs": [run_folders.binary()]})
    failed = {"failed": pd.DataFrame({"path": ["a.png"], "reason": ["0 bytes"]})}
    audited = run_folders.write_run(tmp_path, "audit", {"models": []}, tables=failed)
    assert "There is no audit among these runs" in check(reports.build([asked])).text
    assert "There is no audit" not in check(reports.build([asked, audited])).text
