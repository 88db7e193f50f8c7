"""Folders of images, each a file whose id is its path without the ending."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import ONLY_SPLIT, SPLITS, DatasetQuery, ItemPool, MissingPart, sort_splits
from tusou.data.listed_images import ListedImage, ListedImages

# What people take for images, whether or not it can be read: the rest has no row, not even a bad.
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
)


class ImageFolders:
    """A folder of images; when it holds nothing but folders named like splits, one for each."""

    def __init__(self, place: Path, folders: dict[str, Path]) -> None:
        self._place, self._folders = place, folders

    @classmethod
    def find(cls, place: Path) -> Self | None:
        """Take any folder with an image somewhere in it."""
        if not place.is_dir() or next(_names(place), None) is None:
            return None
        below = [place / name.partition("/")[0] for name in _names(place)]
        splits = {path.name: path for path in below if path.is_dir() and path.name in SPLITS}
        return cls(place, splits if len(splits) == len(set(below)) else {ONLY_SPLIT: place})

    def splits(self) -> Sequence[str]:
        """Name the folders that are splits, or `all`."""
        return sort_splits(self._folders)

    def images(self, split: str) -> ItemPool:
        """Give the images of a split as items."""
        return image_folder(self._folders[split])

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:  # noqa: ARG002
        """Refuse: there are none."""
        raise MissingPart(f"{self._place} holds images, no queries; give a query file")

    def queries_file(self, split: str) -> None:
        """Say that no split has a query file."""

    def asking_images(self, split: str) -> None:
        """Leave it to the queries."""


def image_folder(folder: Path) -> ListedImages:
    """Give the images in a folder and the folders below it, in the order of their paths.

    Hidden files, links to folders, and files of other endings are passed over.
    """
    names = enumerate(sorted(_names(folder)), start=1)
    return ListedImages(
        folder, (ListedImage(number, _without_ending(name), name) for number, name in names)
    )


def _without_ending(name: str) -> str:
    return name.removesuffix(PurePath(name).suffix)


def _names(folder: Path) -> Iterator[str]:
    """Walk the images' paths below a folder, with slashes."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(parent).relative_to(folder)
        for name in files:
            if not name.startswith(".") and PurePath(name).suffix.lower() in ENDINGS:
                yield (below / name).as_posix()
