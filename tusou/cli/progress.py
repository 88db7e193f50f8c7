"""Progress of long work: bars on a terminal, lines at intervals elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from tusou.cli.verbosity import verbosity
from tusou.core.progress import Progress, showing

__all__ = [
    "HiddenProgress",
    "NoProgress",
    "Progress",
    "ProgressBars",
    "ProgressDisplay",
    "ProgressLines",
    "progress",
]

# Seconds between two lines of a stage, where no bar can be drawn.
_LINE_SECONDS = 15.0


class NoProgress:
    """Ignores progress: the default of functions called from Python."""

    def begin(self, label: str, total: int, done: int = 0) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None: ...

    def notice(self, message: str) -> None: ...


class ProgressDisplay(Progress, Protocol):
    """Progress that a user sees, with messages beside it."""

    def move_to(self, label: str, done: int, total: int) -> None:
        """Move the current stage to a position, backwards too; the first call begins the stage."""
        ...

    def notice(self, message: str) -> None:
        """Print a message, unless it repeats the last one."""
        ...

    def close(self) -> None:
        """End the last stage."""
        ...


class HiddenProgress(NoProgress):
    """Shows nothing, for `--quiet`."""

    def move_to(self, label: str, done: int, total: int) -> None: ...

    def notice(self, message: str) -> None: ...

    def close(self) -> None: ...


class ProgressBars:
    """One bar per stage, with rate and time left; a bar appears when its stage begins."""

    def __init__(self) -> None:
        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None
        self._last_notice: str | None = None

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self._bars.start()
        self._task = self._bars.add_task(
            label, total=total or None, completed=done, rate="", note=""
        )

    def advance(self, steps: int = 1, note: str = "") -> None:
        if self._task is None:
            raise RuntimeError("advance() came before begin()")
        self._bars.update(self._task, advance=steps, note=note)
        self._update_rate(self._task)

    def move_to(self, label: str, done: int, total: int) -> None:
        if self._task is None:
            self.begin(label, total, done)
            return
        self._bars.update(self._task, completed=done, total=total)
        self._update_rate(self._task)

    def notice(self, message: str) -> None:
        if message != self._last_notice:
            self._last_notice = message
            self._bars.console.print(message, markup=False, highlight=False)

    def close(self) -> None:
        if self._bars.tasks:  # stopping a display that never started would print a blank line
            self._bars.stop()

    def _update_rate(self, task: TaskID) -> None:
        # The speed of the steps counted here: steps finished earlier would overstate it.
        speed = self._bars.tasks[task].speed
        self._bars.update(task, rate="" if speed is None else f"{speed:.1f}/s")


class ProgressLines:
    """A line for each finished stage, and lines at intervals during it."""

    def __init__(
        self, seconds: float = _LINE_SECONDS, clock: Callable[[], float] = monotonic
    ) -> None:
        self._seconds, self._clock = seconds, clock
        self._label, self._note, self._last_notice = "", "", ""
        self._done = self._total = self._first = 0
        self._began = self._printed = 0.0

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self.close()
        self._label, self._note, self._total = label, "", total
        self._done = self._first = done
        self._began = self._printed = self._clock()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done, self._note = self._done + steps, note
        self._print_when_due()

    def move_to(self, label: str, done: int, total: int) -> None:
        if not self._label:
            self.begin(label, total, done)
        self._done, self._total = done, total
        self._print_when_due()

    def notice(self, message: str) -> None:
        if message != self._last_notice:
            self._last_notice = message
            typer.echo(message, err=True)

    def close(self) -> None:
        if self._label:
            seconds = self._clock() - self._began
            typer.echo(f"{self._position()} in {_duration(seconds)}{self._suffix()}", err=True)
            self._label = ""

    def _print_when_due(self) -> None:
        now = self._clock()
        if now - self._printed >= self._seconds:
            self._printed = now
            rate = (self._done - self._first) / (now - self._began)
            remaining = ""
            if rate > 0 and self._total:
                remaining = f", {_duration((self._total - self._done) / rate)} left"
            typer.echo(f"{self._position()}, {rate:.1f}/s{remaining}{self._suffix()}", err=True)

    def _position(self) -> str:
        return f"{self._label} {self._done}" + (f"/{self._total}" if self._total else "")

    def _suffix(self) -> str:
        return f", {self._note}" if self._note else ""


def _duration(seconds: float) -> str:
    """Format a duration: 42 s, 7 min, 1 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


@contextmanager
def progress() -> Iterator[ProgressDisplay]:
    """Show progress on stderr until the block ends; nothing with `--quiet`."""
    display: ProgressDisplay
    if verbosity() == "quiet":
        display = HiddenProgress()
    elif Console(stderr=True).is_terminal:
        display = ProgressBars()
    else:
        display = ProgressLines()
    try:
        with showing(display):
            yield display
    finally:
        display.close()
