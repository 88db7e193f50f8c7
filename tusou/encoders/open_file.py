"""A file that is opened once: its digest and all that is read later are of the same bytes."""

import hashlib
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL
from functools import cached_property
from io import BufferedReader
from pathlib import Path

from tusou.core.errors import BadModel


class OpenFile:
    """An open file; another that takes its name meanwhile is not read.

    Its bytes are read as they are needed. Raises OSError if it cannot be opened or is not a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Opening a FIFO would wait for its writer.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        weakref.finalize(self, os.close, self._descriptor)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise OSError(EINVAL, "not a regular file", str(path))
        self._state = self._stat()

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file, in hex."""
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def size(self) -> int:
        """The number of bytes when the file was opened."""
        return self._state[0]

    @property
    def readable_path(self) -> Path:
        """A path of this very file, to map it; its own path where the system has no other."""
        link = Path(f"/proc/self/fd/{self._descriptor}")
        return link if link.exists() else self.path

    def check_unchanged(self, *, in_place: bool = False) -> None:
        """Raise BadModel if the file was written to since it was opened.

        With `in_place`, also if another file took its name: for a library that reads by names.
        """
        if self._stat() != self._state or (in_place and not self._is_in_place()):
            raise BadModel(f"{self.path.name} changed while it was read: start again")

    @contextmanager
    def open(self) -> Iterator[BufferedReader]:
        """Open the file from its beginning; one reader at a time."""
        with os.fdopen(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            yield file

    def _is_in_place(self) -> bool:
        """Return whether the file is still the one of its name."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def _stat(self) -> tuple[int, int]:
        state = os.fstat(self._descriptor)
        return state.st_size, state.st_mtime_ns
