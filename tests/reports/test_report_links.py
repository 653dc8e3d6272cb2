"""Links inside run folders: a page or a table holds nothing of where they lead."""

import base64
import shutil

import pandas as pd
import pytest

from probekit import reports
from probekit.errors import RunError
from probekit.reports.runs import load
from probekit.reports.tables import write

from . import run_folders
from .page_checks import check

SECRET = "<svg xmlns='http://www.w3.org/2000/svg'><text>my password</text></svg>"


@pytest.fixture
def run(tmp_path):
    tables = {"things": pd.DataFrame({"who": ["inside"]}), "kept": pd.DataFrame({"who": ["kept"]})}
    pictures = {"auc": run_folders.picture(), "kept": run_folders.picture(colour=(1, 2, 3))}
    return run_folders.write_run(tmp_path / "runs", "saliency", {}, tables=tables, figures=pictures)


def linked(link, target):
    link.unlink()
    link.symlink_to(target)


def test_a_picture_that_is_a_link_out_of_the_folder_is_missing_and_named_a_link(run, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(run_folders.picture(colour=(9, 9, 9)))
    linked(run / "figures" / "auc.png", secret)
    html = reports.build([run])
    assert base64.b64encode(secret.read_bytes()).decode() not in html
    told = (
        "Named in run.json but not in the folder: auc.png. A link is there in place of auc.png: links are not followed"
    )
    assert told in check(html).text
    assert "lacks 1 file that its record names" in check(html).text
    assert [figure.name for figure in load(run).figures] == ["kept.png"]


def test_a_vector_drawing_behind_a_link_is_not_in_the_page(tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    run = run_folders.write_run(tmp_path / "runs", "saliency", {}, figures={"x": run_folders.picture()})
    record = (run / "run.json").read_text(encoding="utf-8")
    (run / "run.json").write_text(record.replace("x.png", "x.svg"), encoding="utf-8")
    (run / "figures" / "x.svg").symlink_to(tmp_path / "secret")
    assert base64.b64encode(SECRET.encode()).decode() not in reports.build([run])
    assert load(run).links == load(run).missing == ("x.svg",)


def test_a_table_that_is_a_link_is_in_no_page_and_no_file_to_paste(run, tmp_path):
    pd.DataFrame({"who": ["my password"]}).to_parquet(tmp_path / "secret.parquet")
    linked(run / "tables" / "things.parquet", tmp_path / "secret.parquet")
    assert "my password" not in reports.build([run])
    written = write([run], tmp_path / "paper")
    assert not any("my password" in path.read_text(encoding="utf-8") for path in written)
    assert {"kept.md"} == {path.name for path in written if path.suffix == ".md"} - {"tables.md"}
    assert load(run).links == load(run).missing == ("things",)


def test_a_folder_of_figures_that_is_a_link_leads_nowhere(run, tmp_path):
    shutil.move(run / "figures", tmp_path / "elsewhere")
    (run / "figures").symlink_to(tmp_path / "elsewhere")
    assert load(run).figures == ()
    assert load(run).links == ("auc.png", "kept.png")


def test_links_to_nothing_and_to_themselves_are_missing(run):
    linked(run / "figures" / "auc.png", "auc.png")
    linked(run / "figures" / "kept.png", "gone.png")
    assert load(run).links == load(run).missing == ("auc.png", "kept.png")


def test_what_is_no_file_is_missing_and_not_a_link(run):
    (run / "figures" / "auc.png").unlink()
    (run / "figures" / "auc.png").mkdir()
    assert (load(run).missing, load(run).links) == (("auc.png",), ())


def test_a_record_that_is_a_link_is_refused(run, tmp_path):
    shutil.move(run / "run.json", tmp_path / "elsewhere.json")
    (run / "run.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(RunError, match=r"run\.json is a link, which reports do not follow"):
        load(run)


def test_a_run_folder_may_be_reached_by_a_link(run, tmp_path):
    (tmp_path / "latest").symlink_to(run)
    found = load(tmp_path / "latest")
    assert found.path == run.resolve()
    assert (len(found.figures), len(found.tables), found.missing) == (2, 2, ())
