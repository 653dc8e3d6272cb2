"""Fixtures that the tests of several pictures share."""

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text


@pytest.fixture
def words(monkeypatch):
    """All visible words of the figures that are saved, in the order of saving."""
    seen = []
    save = Figure.savefig

    def read_and_save(figure, *args, **kwargs):
        save(figure, *args, **kwargs)
        seen.extend(t.get_text() for t in figure.findobj(Text) if t.get_visible() and t.get_text())

    monkeypatch.setattr(Figure, "savefig", read_and_save)
    return seen


@pytest.fixture
def saved(monkeypatch):
    """The matplotlib figures that are saved, as they were drawn."""
    seen = []
    save = Figure.savefig

    def keep_and_save(figure, *args, **kwargs):
        save(figure, *args, **kwargs)
        seen.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep_and_save)
    return seen
