"""Faults at the calls by which a build changes the disk: a kill, or an error of the disk."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

CALLS = ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink")


class Killed(BaseException):
    """The end of the process; nothing that runs after it reaches the disk."""


class DiskFault:
    """Counts the calls that change the disk, and lets one of them fail."""

    def __init__(self, number: int, error: int | None) -> None:
        self.calls: list[str] = []
        self._number, self._error = number, error

    def strikes(self, name: str) -> bool:
        """Count a call; return whether it fails. Raises Killed for every call after a kill."""
        self.calls.append(name)
        position = len(self.calls) - 1
        if self._error is None and position > self._number >= 0:
            raise Killed
        return position == self._number

    def fail(self) -> None:
        """Raise the error of the disk, or Killed."""
        if self._error is None:
            raise Killed
        raise OSError(self._error, os.strerror(self._error))

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            if self.strikes(name):
                self.fail()
            return call(*arguments, **options)

        return wrapper


class _File:
    def __init__(self, file: Any, fault: DiskFault) -> None:
        self._file, self._fault = file, fault

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        if self._fault.strikes("write"):
            half = memoryview(data).cast("B")
            self._file.write(half[: len(half) // 2])
            self._file.flush()
            self._fault.fail()
        return int(self._file.write(data))


@contextmanager
def disk_fault(number: int, error: int | None = None) -> Iterator[list[str]]:
    """Fail the call of that number, from 0; yield the names of the calls made so far.

    Without `error` the process is killed there: no later call changes anything either, so that
    clean-up code leaves the disk as a SIGKILL would. With it, that one call raises OSError.
    """
    fault = DiskFault(number, error)
    replaced = {name: fault.wrap(name, getattr(os, name)) for name in CALLS}
    real_open = io.open

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        result = real_open(file, mode, *arguments, **options)
        return _File(result, fault) if mode == "wb" else result

    with ExitStack() as stack:
        for name, call in replaced.items():
            stack.enter_context(patch.object(os, name, call))
        stack.enter_context(patch.object(io, "open", opened))
        yield fault.calls
