"""Folders of image files, whose ids are their paths without the ending."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import ONLY_SPLIT, SPLITS, DatasetQuery, ItemPool, MissingPart, sort_splits
from tusou.data.listed_images import ListedImage, ListedImages

# Endings of images, readable or not. Other files are ignored, without a failure.
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
)


class ImageFolders:
    """A folder of images; its subfolders are splits if all of them are named as splits."""

    def __init__(self, root: Path, folders: dict[str, Path]) -> None:
        self._root, self._folders = root, folders

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open any folder with an image somewhere below it."""
        if not path.is_dir() or next(_walk(path), None) is None:
            return None
        children = {path / name.partition("/")[0] for name in _walk(path)}
        splits = {child.name: child for child in children if child.is_dir() and _is_split(child)}
        return cls(path, splits if len(splits) == len(children) else {ONLY_SPLIT: path})

    def splits(self) -> Sequence[str]:
        return sort_splits(self._folders)

    def images(self, split: str) -> ItemPool:
        return open_image_folder(self._folders[split])

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:  # noqa: ARG002
        raise MissingPart(f"{self._root} holds images, no queries; give a query file")

    def query_file(self, split: str) -> None:
        """Return None: there are no queries."""

    def image_query_ids(self, split: str) -> None:
        """Return None: there are no queries."""


def open_image_folder(folder: Path) -> ListedImages:
    """Return the images in a folder and its subfolders as an item pool, sorted by path.

    Hidden files, links to folders and files with other endings are ignored.
    """
    names = enumerate(sorted(_walk(folder)), start=1)
    return ListedImages(
        folder, (ListedImage(line, _remove_ending(name), name) for line, name in names)
    )


def _is_split(folder: Path) -> bool:
    return folder.name in SPLITS


def _remove_ending(name: str) -> str:
    return name.removesuffix(PurePath(name).suffix)


def _walk(folder: Path) -> Iterator[str]:
    """Yield the paths of the images below a folder, relative to it and with slashes."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(parent).relative_to(folder)
        for name in files:
            if not name.startswith(".") and PurePath(name).suffix.lower() in ENDINGS:
                yield (relative / name).as_posix()
