"""Progress of long work, and the bars on stderr that show it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

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


class Progress(Protocol):
    """Receives the progress of long work, one stage after another."""

    def begin(self, label: str, total: int, done: int = 0) -> None:
        """Start a stage of `total` steps (0: unknown), of which `done` are already finished."""
        ...

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count finished steps of the current stage; `note` stands beside the bar."""
        ...

    def notice(self, message: str) -> None:
        """Tell the user something that is no step of the work."""
        ...


class NoProgress:
    """Ignores progress: the default of functions called from Python."""

    def begin(self, label: str, total: int, done: int = 0) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None: ...

    def notice(self, message: str) -> None: ...


class ProgressBars:
    """One bar per stage, with rate and time left; a bar appears when its stage begins."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
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
        """Move the current bar to a position, backwards too; the first call begins the stage."""
        if self._task is None:
            self.begin(label, total, done)
            return
        self._bars.update(self._task, completed=done, total=total)
        self._update_rate(self._task)

    def notice(self, message: str) -> None:
        """Print a message above the bars, unless it repeats the last one."""
        if message != self._last_notice:
            self._last_notice = message
            self._bars.console.print(message, markup=False, highlight=False)

    def _update_rate(self, task: TaskID) -> None:
        # The speed of the steps counted here: steps finished earlier would overstate it.
        speed = self._bars.tasks[task].speed
        self._bars.update(task, rate="" if speed is None else f"{speed:.1f}/s")


@contextmanager
def progress() -> Iterator[ProgressBars]:
    """Show progress bars on stderr until the block ends."""
    bars = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
    try:
        yield ProgressBars(bars)
    finally:
        if bars.tasks:  # stopping a display that never started would print a blank line
            bars.stop()
