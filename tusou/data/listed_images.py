"""Item pools of image files that a list names, all below one folder."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import BadImage
from tusou.core.files import open_regular
from tusou.core.ids import Failure, ItemId
from tusou.data.base import ItemPool, ItemRow, parse_item_id
from tusou.images.formats import check_image_size

# A backslash or a colon leads out of the folder on some systems.
_OUTSIDE = re.compile(r"[\\:\x00]")


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image in a list: its line, its item id, and its file name below the folder."""

    line: int
    item_id: str
    name: str


class ListedImages(ItemPool):
    """A pool of the images in a folder, in the order of a list.

    A name without a file is a Failure. `sha256` covers each image's name, size and bytes.
    """

    files: list[Path]

    def __init__(self, folder: Path, names: Iterable[ListedImage | Failure]) -> None:
        super().__init__([])
        self._folder, self._names = folder, names

    def scan(self) -> Iterator[ItemRow | Failure]:
        for entry in self._names:
            yield entry if isinstance(entry, Failure) else self._read(entry)

    def _read(self, image: ListedImage) -> ItemRow | Failure:
        printable_name = image.name.encode(errors="replace").decode()
        item_id = None
        try:
            item_id = parse_item_id(os.fsencode(image.item_id))
            size = self._digest(image.name)
            check_image_size(size)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            return Failure(image.line, item_id, reason, printable_name)
        except (ValueError, BadImage) as error:
            return Failure(image.line, item_id, str(error), printable_name)
        self.files.append(self._folder / image.name)
        return ItemRow(image.line, item_id, len(self.files) - 1, 0, size)

    def _digest(self, name: str) -> int:
        """Add a file to the digest in constant memory and return its size."""
        with open_regular(self._folder / name) as file:
            size = os.fstat(file.fileno()).st_size
            self._hash.update(os.fsencode(f"{name}\0{size}\0"))
            self._hash.update(hashlib.file_digest(file, "sha256").digest())
        self.size += size
        return size


def list_folder(folder: Path, endings: tuple[str, ...] = ("",)) -> tuple[list[Path], list[Path]]:
    """Return the folders in a folder, and the files with one of the endings, sorted.

    Makes no `stat` of each file. A Path of each takes longer than the rest: give endings.
    """
    with os.scandir(folder) as scanned:
        entries = sorted(
            (entry.name, is_folder)
            for entry in scanned
            if (is_folder := entry.is_dir()) or entry.name.endswith(endings)
        )
    folders = [folder / name for name, is_folder in entries if is_folder]
    return folders, [folder / name for name, is_folder in entries if not is_folder]


def list_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted."""
    return list_folder(folder, ())[0]


def list_files(folders: Iterable[Path], endings: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files with one of the endings in each of the folders that exists, sorted."""
    for folder in folders:
        if folder.is_dir():
            yield from list_folder(folder, endings)[1]


def list_image(line: int, name: str, item_id: ItemId | None = None) -> ListedImage | Failure:
    """Return an entry of a list, its name being the id unless `item_id` is given.

    A name that leads out of the folder is a Failure.
    """
    outside = name.startswith("/") or ".." in name.split("/") or _OUTSIDE.search(name)
    if outside or not name:
        return Failure(line, None, "a name that leaves the folder" if name else "empty id")
    return ListedImage(line, name if item_id is None else str(item_id), name)
