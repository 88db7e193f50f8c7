"""A folder of pictures, each a file; its id is its path without the ending."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath

from tusou.datasets.base import ItemRow, read_id
from tusou.errors import BadImage
from tusou.images import check_bytes
from tusou.types import Encoding, Failure, Items

# What people take for pictures, whether or not it can be read: the rest has no row, not even a bad.
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
)


class PictureFolder:
    """Pictures in a folder and the folders below it, in the order of their paths.

    Hidden files, links to folders, and files of other endings are passed over. `sha256` is taken
    over each picture's path, size and bytes.
    """

    kind: Items = "pictures"
    encoding: Encoding = "raw"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hash = hashlib.sha256()
        self.files: list[Path] = []
        self.size = 0

    @property
    def sha256(self) -> str:
        """The digest of all pictures read so far, in hexadecimal."""
        return self._hash.hexdigest()

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield every picture once; its line is its place in the order of paths, from 1."""
        for number, name in enumerate(sorted(_names(self._folder)), start=1):
            yield self._row(number, name)

    def _row(self, number: int, name: str) -> ItemRow | Failure:
        shown = name.encode(errors="replace").decode()
        item_id, problem = read_id(os.fsencode(PurePosixPath(name).with_suffix("")))
        if problem:
            return Failure(number, item_id, problem, shown)
        try:
            size = self._digest(name)
            check_bytes(size)
        except OSError as error:
            return Failure(number, item_id, f"cannot be read: {error.strerror}", shown)
        except BadImage as error:
            return Failure(number, item_id, str(error), shown)
        self.files.append(self._folder / name)
        return ItemRow(number, item_id or "", len(self.files) - 1, 0, size)

    def _digest(self, name: str) -> int:
        """Take a file into the digest in constant memory; return its size."""
        with (self._folder / name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._hash.update(os.fsencode(f"{name}\0{size}\0"))
            self._hash.update(hashlib.file_digest(file, "sha256").digest())
        self.size += size
        return size


def open_folder(path: Path, split: str | None) -> PictureFolder | None:
    """Open a folder with a picture anywhere in it; it has no splits."""
    if split is not None or not path.is_dir() or next(_names(path), None) is None:
        return None
    return PictureFolder(path)


def _names(folder: Path) -> Iterator[str]:
    """Walk the pictures' paths below a folder, with slashes."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(parent).relative_to(folder)
        for name in files:
            if not name.startswith(".") and PurePath(name).suffix.lower() in ENDINGS:
                yield (below / name).as_posix()
