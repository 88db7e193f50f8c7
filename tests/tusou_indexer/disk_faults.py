"""Faults at the calls by which a build changes the disk: a kill, or an error of the disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHANGES = ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink")


class Killed(BaseException):
    """The end of the process; nothing that runs after it reaches the disk."""


@contextmanager
def disk_fault(number: int, error: int | None = None) -> Iterator[list[str]]:
    """Fail the call of that number, from 0; yield the names of the calls made so far.

    Without `error` the process is killed there: no later call changes anything either, so that
    clean-up code leaves the disk as a SIGKILL would. With it, that one call raises OSError.
    """
    calls: list[str] = []

    def faulty(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            position = len(calls) - 1
            if error is not None and position == number:
                raise OSError(error, os.strerror(error))
            if error is None and position >= number >= 0:
                raise Killed
            return call(*arguments, **options)

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, faulty(name, getattr(os, name)))
        yield calls
