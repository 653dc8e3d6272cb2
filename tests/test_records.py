"""Run records: a refused command leaves nothing, a failed one leaves its reason."""

import json
from pathlib import Path

import pandas as pd
import pytest

from probekit import records
from probekit.errors import MissingFeaturesError, StoreError, UsageError, WeightsError


def failing(runs: Path, error: Exception, *, table: bool = False, folder: str | None = None) -> list[Path]:
    """The files that are left of a command that ends with this error."""

    def command() -> None:
        with records.start("probe", {"C": 1}, runs=runs, folder=folder) as run:
            if table:
                run.table("pairs", pd.DataFrame({"auc": [0.1]}))
            raise error

    with pytest.raises(type(error)):
        command()
    return sorted(path.relative_to(runs) for path in runs.rglob("*") if path.is_file())


@pytest.mark.parametrize("error", [UsageError, MissingFeaturesError, WeightsError])
def test_a_refused_command_leaves_no_folder(tmp_path, error):
    assert failing(tmp_path, error("no such thing")) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [StoreError, ValueError, MemoryError])
def test_a_command_that_failed_at_work_leaves_its_reason(tmp_path, error):
    (left,) = failing(tmp_path, error("the disk is full"))
    record = json.loads((tmp_path / left).read_text(encoding="utf-8"))
    assert (record["status"], record["error"]) == ("failed", f"{error.__name__}: the disk is full")


def test_what_was_written_before_a_refusal_is_kept_with_its_record(tmp_path):
    left = failing(tmp_path, UsageError("too late"), table=True)
    assert {path.name for path in left} == {"run.json", "pairs.csv", "pairs.parquet"}
    (folder,) = tmp_path.iterdir()
    assert records.read(folder)["status"] == "failed"


def test_a_folder_of_a_fixed_name_is_never_removed(tmp_path):
    with records.start("probe", {}, runs=tmp_path, folder="fixed"):
        pass
    assert failing(tmp_path, UsageError("no"), folder="fixed") == [Path("fixed/run.json")]
