"""Progress with rate and time left: a bar on a terminal, plain lines at widening intervals otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from anyscope.running import processes


def duration(seconds: float) -> str:
    """A duration in words that fit a progress line.

    >>> duration(8), duration(75), duration(7260)
    ('8 s', '1 min 15 s', '2 h 1 min')
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def say(text: str) -> None:
    """One plain line on stderr; stdout belongs to results. Of processes that train together the first one speaks."""
    if processes.rank() == 0:
        print(text, file=sys.stderr, flush=True)


class Progress:
    """Counts finished units and reports them. Made by :func:`progress`."""

    def __init__(self, task: str, total: int, unit: str, done: int) -> None:
        self._task, self._total, self._unit = task, total, unit
        self._first = self._done = done
        self._started = time.monotonic()
        self._next_line = self._started + 5.0
        self._interval = 5.0

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more units; ``note`` is a short remark such as the current loss."""
        self._done += steps
        self.show(note)

    def rate(self) -> float:
        """Units per second since the start of this process's share of the work."""
        elapsed = time.monotonic() - self._started
        return (self._done - self._first) / elapsed if elapsed > 0 else 0.0

    def describe(self, note: str = "") -> str:
        """The current state as one line."""
        rate = self.rate()
        left = f", {duration((self._total - self._done) / rate)} left" if rate > 0 else ""
        tail = f"  {note}" if note else ""
        return f"{self._task}: {self._done}/{self._total} {self._unit}, {rate:.2f}/s{left}{tail}"

    def show(self, note: str) -> None:
        """Print a line, at widening intervals (5 s, growing by half up to a minute)."""
        now = time.monotonic()
        if now >= self._next_line:
            say(self.describe(note))
            self._interval = min(60.0, self._interval * 1.5)
            self._next_line = now + self._interval

    def close(self) -> None:
        """Print the last state."""
        elapsed = time.monotonic() - self._started
        say(f"{self._task}: {self._done}/{self._total} {self._unit} in {duration(elapsed)}")


class _Bar(Progress):
    """The same on a terminal, redrawn in place."""

    def __init__(self, task: str, total: int, unit: str, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        super().__init__(task, total, unit, done)
        self._bar = RichProgress(
            TextColumn("{task.fields[line]}"), BarColumn(bar_width=24), console=Console(stderr=True), transient=True
        )
        self._id = self._bar.add_task(task, total=total, completed=done, line=task)
        self._bar.start()

    def show(self, note: str) -> None:
        self._bar.update(self._id, completed=self._done, line=self.describe(note))

    def close(self) -> None:
        self._bar.stop()
        super().close()


@contextmanager
def progress(task: str, total: int, unit: str, done: int = 0) -> Iterator[Progress]:
    """Report the progress of ``task`` over ``total`` units, of which ``done`` were finished by an earlier run."""
    shown = (_Bar if sys.stderr.isatty() and processes.rank() == 0 else Progress)(task, total, unit, done)
    try:
        yield shown
    finally:
        shown.close()
