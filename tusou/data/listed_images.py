"""Images that a list names, each a file below one folder."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import BadImage
from tusou.core.ids import Encoding, Failure, ItemKind
from tusou.data.base import ItemRow, parse_item_id
from tusou.images.formats import check_bytes

# A drive, a backslash or a colon means a path elsewhere on some system.
_ELSEWHERE = re.compile(r"[\\:\x00]")


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image that a list names: the list's line, the item's id, and the file's name."""

    line: int
    item_id: str
    name: str


class ListedImages:
    """Images below a folder in the order of a list.

    A name without a file is a Failure. `sha256` is taken over each image's name, size and bytes.
    """

    kind: ItemKind = "images"
    encoding: Encoding = "raw"

    def __init__(self, folder: Path, names: Iterable[ListedImage | Failure]) -> None:
        self._folder, self._names = folder, names
        self._hash = hashlib.sha256()
        self.files: list[Path] = []
        self.size = 0

    @property
    def sha256(self) -> str:
        """The digest of all images read so far, in hexadecimal."""
        return self._hash.hexdigest()

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield every name once, in the list's order."""
        for named in self._names:
            yield named if isinstance(named, Failure) else self._row(named)

    def _row(self, named: ListedImage) -> ItemRow | Failure:
        shown = named.name.encode(errors="replace").decode()
        item_id, problem = parse_item_id(os.fsencode(named.item_id))
        if problem:
            return Failure(named.line, item_id, problem, shown)
        try:
            size = self._digest(named.name)
            check_bytes(size)
        except OSError as error:
            return Failure(named.line, item_id, f"cannot be read: {error.strerror}", shown)
        except BadImage as error:
            return Failure(named.line, item_id, str(error), shown)
        self.files.append(self._folder / named.name)
        return ItemRow(named.line, named.item_id, len(self.files) - 1, 0, size)

    def _digest(self, name: str) -> int:
        """Take a file into the digest in constant memory; return its size."""
        with (self._folder / name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._hash.update(os.fsencode(f"{name}\0{size}\0"))
            self._hash.update(hashlib.file_digest(file, "sha256").digest())
        self.size += size
        return size


def listing(folder: Path) -> tuple[list[Path], list[Path]]:
    """Name the folders and the files in a folder, in order; nothing is asked of each file."""
    with os.scandir(folder) as found:
        entries = sorted((entry.name, entry.is_dir()) for entry in found)
    folders = [folder / name for name, is_folder in entries if is_folder]
    return folders, [folder / name for name, is_folder in entries if not is_folder]


def listed(line: int, name: str, item_id: str | None = None) -> ListedImage | Failure:
    """Take a name from a list, the id too unless it has another; one may not leave the folder."""
    leaves = name.startswith("/") or ".." in name.split("/") or _ELSEWHERE.search(name)
    if leaves or not name:
        return Failure(line, None, "a name that leaves the folder" if name else "empty id")
    return ListedImage(line, name if item_id is None else item_id, name)
