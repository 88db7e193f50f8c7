"""Writing files so that a crash leaves the old bytes or the new, never a mixture."""

import hashlib
import os
import shutil
from pathlib import Path

_CHUNK = 2**20


def sha256_of(path: Path) -> str:
    """Digest a file in hexadecimal, in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably: side file, fsync, rename, fsync of the folder."""
    side = path.with_name(f".{path.name}.new")
    with side.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    side.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Force a file's bytes, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_folder(path: Path) -> None:
    """Make an empty folder of this name, whatever was in it; it may be the working directory."""
    path.mkdir(parents=True, exist_ok=True)
    for one in list(path.iterdir()):
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink()
