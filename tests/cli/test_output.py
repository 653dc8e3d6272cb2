"""Progress says nothing before it knows something; records are printed in words."""

import re
import time
from dataclasses import dataclass

import pytest

from probekit_cli import output, pace
from probekit_cli.pace import Pace, spell_pace


@dataclass
class Clock:
    """Stands until it is told to go on."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock of `pace`."""
    stopped = Clock()
    monkeypatch.setattr(pace, "time", type("Time", (), {"monotonic": staticmethod(stopped)}))
    return stopped


@pytest.mark.parametrize(
    ("done", "left", "seconds", "said"),
    [
        (0, 1134, 30.0, ""),
        (1, 1133, 21.6, ""),  # one item of many says nothing
        (400, 700, 1.9, ""),  # nor does a moment
        (4, 20, 8.0, "0.5/s, 40 s left"),  # 3 % and more
        (5, 1130, 5.0, "1.0/s, 19 min left"),
        (1000, 0, 8.0, "125/s"),
        (99, 24531, 99.0, "1.0/s, 7 h left"),
        (12345, 10, 10.0, "1,234/s, 0 s left"),
    ],
)
def test_a_speed_and_a_time_are_told_once_they_mean_something(done, left, seconds, said):
    assert spell_pace(done, left, seconds) == said


def test_the_time_left_leaves_out_what_the_first_item_takes(clock):
    """A model is loaded and compiled in 60 s, then 10 images a second are done."""
    far = Pace()
    far.take(0, 1000)
    clock.now += 60
    far.take(1, 1000)
    assert (str(far), far.line()) == ("", "1 of 1000, 60 s so far")
    clock.now += 1
    far.take(11, 1000)
    assert str(far) == ""  # one second says nothing
    clock.now += 4
    far.take(51, 1000)
    assert far.line() == "51 of 1000, 10/s, 95 s left"


def test_the_time_left_is_judged_by_the_last_minute_and_the_whole_by_all_of_it(clock):
    far = Pace()
    for done in range(101):  # a second each, then a tenth
        clock.now += 1
        far.take(done, 2000)
    for done in range(110, 1001, 10):
        clock.now += 1
        far.take(done, 2000, "loss 0.5")
    assert str(far) == "10/s, 100 s left, loss 0.5"
    far.take(2000, 2000)
    clock.now += 1000
    assert str(far) == "11/s"  # 1999 in 189 s, whatever follows


def test_what_begins_anew_is_judged_anew(clock):
    far = Pace()
    for done in (0, 1, 50, 100, 0, 1):
        far.take(done, 100)
        clock.now += 10
    assert str(far) == ""


def test_a_log_shows_life_while_nothing_comes_to_its_end(capfd, monkeypatch):
    monkeypatch.setattr(pace, "EVERY", 0.05)
    said, until = "", time.monotonic() + 60
    with output.progress("mapping", told=False):
        while said.count("\n") < 3:
            assert time.monotonic() < until, said
            said += capfd.readouterr().err
            time.sleep(0.01)
    assert all(re.fullmatch(r"mapping: \d+ s so far", line) for line in said.splitlines())


def test_a_log_ends_with_how_far_it_came_and_says_nothing_of_quick_or_broken_work(capfd, monkeypatch):
    monkeypatch.setattr(pace, "QUICK", 0.0)
    with output.progress("extracting") as show:
        show(0, 12)
        show(12, 12, "2 failed")
    assert capfd.readouterr().err == "extracting: 12 of 12, 0 s so far, 2 failed\n"
    with pytest.raises(ValueError, match="broken"), output.progress("extracting"):
        raise ValueError("broken")
    monkeypatch.setattr(pace, "QUICK", 5.0)
    with output.progress("extracting") as show:
        show(12, 12)
    assert capfd.readouterr().err == ""


def test_a_log_does_not_end_with_what_it_has_just_said(capfd, monkeypatch):
    monkeypatch.setattr(pace, "EVERY", 0.01)
    monkeypatch.setattr(pace, "QUICK", 0.0)
    log = pace.Log("extracting")
    with log as far:
        far.take(12, 12)
        while log._written is None:
            time.sleep(0.005)
        monkeypatch.setattr(log._over, "wait", lambda _: True)  # no further line of its own
        log.join()
        said = capfd.readouterr().err
    assert said.startswith("extracting: 12 of 12")
    assert capfd.readouterr().err == ""
    with pace.Log("extracting") as far:
        far.take(11, 12)
    assert capfd.readouterr().err == "extracting: 11 of 12, 0 s so far\n"


def test_lines_of_a_log_are_neither_rare_nor_frequent():
    assert 5 <= pace.EVERY <= 30


def test_a_record_is_printed_in_words_that_fit_the_terminal(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    versions = {"torch": "2.9", "open_clip_torch": "3.3.0", "numpy": "2.4"}
    output.print_facts(
        {
            "rows": 1135,
            "view": {"policy": "native", "crop": None, "normalize": [[0.5, 0.5], [0.25]]},
            "antialias": True,
            "facts": {},
            "name": "a\x1b[31m",
            "writers": [versions, versions],
        }
    )
    assert capfd.readouterr().out.splitlines() == [
        "rows: 1,135",
        "view:",
        "  policy: native",
        "  crop: none",
        "  normalize: (0.5, 0.5), (0.25)",
        "antialias: yes",
        "facts: none",
        "name: a\\x1b[31m",
        "writers: (torch 2.9, open_clip_torch",
        "    3.3.0, numpy 2.4), (torch 2.9,",
        "    open_clip_torch 3.3.0, numpy 2.4)",
    ]
