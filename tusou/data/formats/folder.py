"""Folders of image files, whose ids are their paths without the ending."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Self

from tusou.data.base import ONLY_SPLIT, SPLITS, DatasetReader, ItemPool, sort_splits
from tusou.data.listed_images import ListedImage, ListedImages

# Endings of images, readable or not. Other files are ignored, without a failure.
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
)


class ImageFolders(DatasetReader):
    """A folder of images; its subfolders are splits if all of them are named as splits."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open any folder with an image somewhere below it."""
        if not path.is_dir() or next(_walk(path), None) is None:
            return None
        children = {path / name.partition("/")[0] for name in _walk(path)}
        splits = {
            child.name: child for child in children if child.is_dir() and child.name in SPLITS
        }
        return cls(splits if len(splits) == len(children) else {ONLY_SPLIT: path})

    def splits(self) -> Sequence[str]:
        return sort_splits(self._folders)

    def images(self, split: str) -> ItemPool:
        return open_image_folder(self._folders[split])


def open_image_folder(folder: Path) -> ListedImages:
    """Return the images in a folder and its subfolders as an item pool, sorted by path.

    Hidden files, links to folders and files with other endings are ignored.
    """
    names = enumerate(sorted(_walk(folder)), start=1)
    return ListedImages(
        folder,
        (ListedImage(line, name.removesuffix(PurePath(name).suffix), name) for line, name in names),
    )


def _walk(folder: Path) -> Iterator[str]:
    """Yield the paths of the images below a folder, relative to it and with slashes."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(parent).relative_to(folder)
        for name in files:
            if not name.startswith(".") and PurePath(name).suffix.lower() in ENDINGS:
                yield (relative / name).as_posix()
