"""How long work tells a watcher of its progress, and the bar on stderr that watches."""

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
    """Hears how far some work is; one piece of work follows another."""

    def begin(self, label: str, total: int, done: int = 0) -> None:
        """Hear that work of `total` steps (0: nobody knows) begins, or goes on after `done`."""
        ...

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Hear that more steps are done."""
        ...


class NoProgress:
    """Watches nothing: the default of functions called from Python."""

    def begin(self, label: str, total: int, done: int = 0) -> None:
        """Ignore it."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Ignore it."""


class _Bars:
    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self._bars.start()
        self._task = self._bars.add_task(
            label, total=total or None, completed=done, rate="", note=""
        )

    def advance(self, steps: int = 1, note: str = "") -> None:
        if self._task is None:
            raise RuntimeError("advance() came before begin()")
        self._bars.update(self._task, advance=steps, note=note)
        # Of the steps heard of since it began: those done before would flatter it.
        speed = self._bars.tasks[self._task].speed
        self._bars.update(self._task, rate="" if speed is None else f"{speed:.1f}/s")


@contextmanager
def progress() -> Iterator[Progress]:
    """Show a bar on stderr with rate and time left for each piece of work."""
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
        yield _Bars(bars)
    finally:
        if bars.tasks:  # one that never began would still write a blank line
            bars.stop()
