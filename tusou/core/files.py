"""Atomic and durable file writes, and file digests."""

import errno
import hashlib
import io
import os
import pickle
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_LZMA_ERRORS: tuple[type[Exception], ...] = ()
with suppress(ImportError):  # Python can be built without it
    from lzma import LZMAError

    _LZMA_ERRORS = (LZMAError,)

# Errors that zipfile, pickle and numpy raise for a damaged or foreign file.
DAMAGED_FILE_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    *_LZMA_ERRORS,
)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_regular(path: Path, buffering: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader:
    """Open a file to read its bytes; OSError for a FIFO, socket or device: they could block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return io.BufferedReader(io.FileIO(descriptor), buffering)


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Name a file in an OSError that names none, as those of `write` and `fsync` do."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def create_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for writing; its bytes are on the disk when the block ends.

    An OSError, such as that of a full disk, names the file.
    """
    with naming_file(path), path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_file(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably: a crash leaves the old bytes or the new ones."""
    new = temporary_of(path)
    try:
        with create_file(new) as file:
            file.write(data)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync(path.parent)


def temporary_of(path: Path) -> Path:
    """Return the name under which `write_file` writes first; a kill may leave such a file."""
    return path.with_name(f".{path.name}.new")


def sync(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with naming_file(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_folder(path: Path) -> None:
    """Create an empty folder, or empty an existing one; it may be the working directory."""
    path.mkdir(parents=True, exist_ok=True)
    for entry in list(path.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
