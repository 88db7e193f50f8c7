"""How long work tells a watcher of its progress, and the bar on stderr that watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Watcher(Protocol):
    """Hears how far some work is; one piece of work follows another."""

    def begin(self, label: str, total: int, done: int = 0) -> None:
        """Hear that work of `total` steps begins, or goes on after `done` of them."""
        ...

    def advance(self, note: str = "") -> None:
        """Hear that one more step is done."""
        ...


class Nobody:
    """Watches nothing: the default of functions called from Python."""

    def begin(self, label: str, total: int, done: int = 0) -> None:
        """Ignore it."""

    def advance(self, note: str = "") -> None:
        """Ignore it."""


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self._task = self._bars.add_task(label, total=total, completed=done, rate="", note="")

    def advance(self, note: str = "") -> None:
        if self._task is None:
            raise RuntimeError("advance() came before begin()")
        speed = self._bars.tasks[self._task].speed
        rate = "" if speed is None else f"{speed:.1f}/s"
        self._bars.update(self._task, advance=1, rate=rate, note=note)


@contextmanager
def progress() -> Iterator[Watcher]:
    """Show a bar on stderr with rate and time left for each piece of work."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield _Bars(bars)
