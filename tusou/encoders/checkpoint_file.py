"""A checkpoint that is opened once: digest, shapes and tensors are of the same bytes."""

import hashlib
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BufferedReader
from pathlib import Path

from tusou.core.errors import BadModel
from tusou.encoders.checkpoint_shapes import TensorShape, read_shapes


class CheckpointFile:
    """An open checkpoint; another file that takes its name meanwhile is not read.

    Its bytes are read as they are needed, and the shapes once. Raises OSError if it cannot be
    opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self._state = self._stat()

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file, in hex."""
        with self._open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def shapes(self) -> dict[str, TensorShape] | None:
        """The shapes of the model's tensors; None for a file that torch has to read or refuse."""
        with self._open() as file:
            return read_shapes(file)

    @property
    def readable_path(self) -> Path:
        """A path of this very file, to map it; its own path where the system has no other."""
        link = Path(f"/proc/self/fd/{self._descriptor}")
        return link if link.exists() else self.path

    def check_unchanged(self) -> None:
        """Raise BadModel if the file was written to since it was opened."""
        if self._stat() != self._state:
            raise BadModel(f"{self.path.name} changed while it was read: start again")

    def _stat(self) -> tuple[int, int]:
        state = os.fstat(self._descriptor)
        return state.st_size, state.st_mtime_ns

    @contextmanager
    def _open(self) -> Iterator[BufferedReader]:
        with os.fdopen(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            yield file
