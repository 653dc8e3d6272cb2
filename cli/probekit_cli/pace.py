"""How quickly something goes and how long it will take, in words, and as the lines of a log."""

import sys
import threading
import time
from collections import deque

SURE, FEW, SHARE = 2.0, 5, 0.03  # seconds, items and share of all from which a speed means something
LATE, STEP = 60.0, 1.0  # seconds that the time left is judged by, and between two marks of them
EVERY, QUICK = 10.0, 5.0  # seconds between two lines of a log; of work that it says nothing of


class Pace:
    """How far something is and how quickly it goes.

    The clock starts when the first item is done: before, models are loaded and compiled. What is left is judged by
    the last minute, the whole by all of it.
    """

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._lock = threading.Lock()  # a log reads what the work tells
        self._done: int | None = None  # until the first call
        self._total = 0
        self._said = ""
        self._first: tuple[float, int] | None = None
        self._marks: deque[tuple[float, int]] = deque()  # of late, the oldest first

    def take(self, done: int, total: int, said: str = "") -> None:
        """Note how far it is; fewer items than before are of something else that begins."""
        with self._lock:
            now = time.monotonic()
            if self._done is None or done < self._done:
                self._first = None
                self._marks.clear()
            elif done > self._done:
                self._first = self._first or (now, done)
                if not self._marks or now - self._marks[-1][0] >= STEP:
                    self._marks.append((now, done))
            while len(self._marks) > 1 and now - self._marks[1][0] >= LATE:
                self._marks.popleft()
            self._told, self._done, self._total, self._said = now, done, total, said

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._began

    @property
    def told(self) -> tuple[int | None, str]:
        """Items done and what else was said of them last; None before the first call."""
        with self._lock:
            return self._done, self._said

    def __str__(self) -> str:
        """`1.2/s, 5 min left, loss 0.31`; without a speed as long as none is known."""
        with self._lock:
            return ", ".join(filter(None, (self._speed(), self._said)))

    def line(self) -> str:
        """`12 of 1135, 1.2/s, 16 min left`, or how long it has taken where there is nothing else to tell."""
        with self._lock:
            how_far = "" if self._done is None else f"{self._done} of {self._total}"
            pace = self._speed() or f"{spell_time(self.seconds)} so far"
            return ", ".join(filter(None, (how_far, pace, self._said)))

    def _speed(self) -> str:
        if self._done is None or self._first is None:
            return ""
        left = self._total - self._done
        since, first = self._marks[0] if left else self._first
        until = time.monotonic() if left else self._told
        return spell_pace(self._done - first, left, until - since)


class Log(threading.Thread):
    """Writes how far something is as a line each ten seconds, also while nothing comes to its end.

    As a context; the last line is written where it ends well, unless it was quick or tells nothing new.
    """

    def __init__(self, what: str) -> None:
        super().__init__(name="progress", daemon=True)
        self.pace = Pace()
        self._what = what
        self._over = threading.Event()
        self._written: tuple[int | None, str] | None = None

    def __enter__(self) -> Pace:
        """What is told how far it is."""
        self.start()
        return self.pace

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """No line follows."""
        self._over.set()
        self.join()
        if error is None and self.pace.seconds >= QUICK and self.pace.told != self._written:
            self._write()

    def run(self) -> None:
        """Until it is over."""
        while not self._over.wait(EVERY):
            self._write()

    def _write(self) -> None:
        self._written = self.pace.told
        sys.stderr.write(f"{self._what}: {self.pace.line()}\n")
        sys.stderr.flush()


def spell_pace(done: int, left: int, seconds: float) -> str:
    """`1.2/s, 5 min left`; empty before there is enough to judge by.

    Args:
        done: items since the first was.
        left: items that are not done.
        seconds: that they took.
    """
    if seconds < SURE or not (done >= FEW or done >= SHARE * (done + left) > 0):
        return ""
    rate = done / seconds
    spelled = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}" if rate >= 1 else f"{rate:.1g}"
    return f"{spelled}/s" + (f", {spell_time(left / rate)} left" if left else "")


def spell_time(seconds: float) -> str:
    """About how long, in the largest unit of which there are two or more."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
