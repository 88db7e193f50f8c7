"""The progress bar of the client commands, on stderr."""

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("-/s" if speed is None else f"{speed:.1f}/s")


class Bar:
    """Count, rate and time left; appears with the first progress."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._said: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.task_ids:  # else rich prints an empty line
            self._bar.stop()

    def show(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._bar.task_ids:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)
        else:
            self._bar.start()
            self._bar.add_task(self._what, completed=done, total=total)

    def say(self, message: str) -> None:
        """Print a message above the bar, but the same one only once in a row."""
        if message != self._said:
            self._said = message
            self._console.print(message, markup=False, highlight=False)
