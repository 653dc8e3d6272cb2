"""Fixtures that several test files share."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures and weights that is not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no private test material at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The width that output has where nobody's terminal limits it, whatever runs the tests."""
    monkeypatch.setenv("COLUMNS", "160")
