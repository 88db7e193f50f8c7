"""The protocol of progress, and the display that the running command has."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Progress(Protocol):
    """Receives the progress of long work, one stage after another."""

    def begin(self, label: str, total: int, done: int = 0) -> None:
        """Start a stage of `total` steps (0: unknown), of which `done` are already finished."""
        ...

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count finished steps of the current stage; `note` stands beside the bar."""
        ...

    def notice(self, message: str) -> None:
        """Print a message that does not belong to a stage."""
        ...


_shown: ContextVar[Progress | None] = ContextVar("shown_progress", default=None)


def shown_progress() -> Progress | None:
    """Return the display of the running command, for work that anything below it may begin.

    A model is downloaded wherever it is first named. None in a service, and for Python code.
    """
    return _shown.get()


@contextmanager
def showing(progress: Progress) -> Iterator[None]:
    """Use a display for the running command within the block."""
    token = _shown.set(progress)
    try:
        yield
    finally:
        _shown.reset(token)
