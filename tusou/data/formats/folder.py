"""Folders of image files, whose ids are their paths without the ending."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Self

from tusou.data.base import ONLY_SPLIT, SPLITS, DatasetReader, ItemPool, sort_splits
from tusou.data.listed_images import ListedImage, ListedImages
from tusou.images.formats import IMAGE_SUFFIXES


class ImageFolders(DatasetReader):
    """A folder of images; its subfolders are splits if all of them are named as splits."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open any folder with an image somewhere below it."""
        if not path.is_dir():
            return None
        children = {name.partition("/")[0] for name in filter(_is_image, _walk(path))}
        if not children:
            return None
        splits = {name: path / name for name in children & {*SPLITS} if (path / name).is_dir()}
        return cls(splits if len(splits) == len(children) else {ONLY_SPLIT: path})

    def splits(self) -> Sequence[str]:
        return sort_splits(self._folders)

    def images(self, split: str) -> ItemPool:
        return open_image_folder(self._folders[split])


def open_image_folder(folder: Path) -> ListedImages:
    """Return the images in a folder and its subfolders as an item pool, sorted by path.

    An id keeps its ending where another image has the same path without it, as `a.jpg` beside
    `a.png`. Other files are counted in the pool's `skipped`; hidden folders, and links to folders,
    are not entered.
    """
    files = sorted(_walk(folder))
    names = _names_by_id(files).items()
    images = (ListedImage(line, *entry) for line, entry in enumerate(names, start=1))
    pool = ListedImages(folder, images)
    for name in files:
        if not _is_image(name):
            pool.skipped.add(_skip_reason(PurePath(name)), name)
    return pool


def list_image_names(folder: Path) -> dict[str, str]:
    """Return the names that `open_image_folder` lists, by item id.

    Raises OSError for a folder that cannot be read.
    """
    return _names_by_id(sorted(_walk(folder, _raise)))


def _raise(error: OSError) -> None:
    raise error


def _names_by_id(files: Sequence[str]) -> dict[str, str]:
    names = list(filter(_is_image, files))
    complete = _names_kept_whole(names)
    return {name if name in complete else _without_ending(name): name for name in names}


def _names_kept_whole(names: Sequence[str]) -> set[str]:
    """Return the names that are ids with their ending, so that all ids differ."""
    counts = Counter(map(_without_ending, names))
    complete: set[str] = set()
    added = {name for name in names if counts[_without_ending(name)] > 1}
    while added:  # `a.jpg.png` without its ending would be the id of `a.jpg`
        complete |= added
        added = {name for name in names if _without_ending(name) in complete} - complete
    return complete


def _without_ending(name: str) -> str:
    return name.removesuffix(PurePath(name).suffix)


def _is_image(name: str) -> bool:
    ending = name[name.rfind(".") :]  # a PurePath for each of a million names would take long
    return ending.lower() in IMAGE_SUFFIXES and not name.rpartition("/")[2].startswith(".")


def _skip_reason(path: PurePath) -> str:
    if path.name.startswith("."):
        return "hidden files"
    return f"files ending in {path.suffix}" if path.suffix else "files without an ending"


def _walk(folder: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[str]:
    """Yield the paths of the files below a folder, relative to it and with slashes."""
    for parent, folders, files in os.walk(folder, onerror=on_error):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(parent).relative_to(folder).as_posix()
        yield from files if relative == "." else (f"{relative}/{name}" for name in files)
