"""How far an embedding run is, on stderr."""

from types import TracebackType
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


class _Rate(ProgressColumn):
    """Pictures encoded a second; rows found finished do not flatter it."""

    def render(self, task: Task) -> Text:
        elapsed = task.elapsed or 0.0
        encoded = task.fields["encoded"]
        return Text(f"{encoded / elapsed:.0f} pictures/s" if elapsed and encoded else "")


class ProgressBar:
    """A bar with count, rate and time left."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("encode"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._encoded = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar.tasks:  # a bar that never began would still write a blank line
            self._bar.stop()

    def start(self, rows: int) -> None:
        """Learn how many rows there are in all."""
        self._task = self._bar.add_task("encode", total=rows, encoded=0)
        self._bar.start()

    def advance(self, rows: int, *, encoded: bool) -> None:
        """Count rows as done: encoded just now, or found finished."""
        self._encoded += rows if encoded else 0
        self._bar.update(self._task, advance=rows, encoded=self._encoded)
