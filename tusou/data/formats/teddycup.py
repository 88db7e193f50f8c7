"""Teddy Cup 2024, problem B: CSV tables of names and captions beside a folder `ImageData`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, DatasetReader, ItemPool, require_file, sort_splits
from tusou.data.captions import Caption, caption_queries
from tusou.data.csv_reader import TableRow, read_table
from tusou.data.listed_images import ListedImage, ListedImages, list_folders, list_image

IMAGES = "ImageData"
_IMAGE, _TEXT, _CAPTION = "image_id", "text_id", "caption"


@dataclass(frozen=True, slots=True)
class TeddyTask:
    """The tables of one attachment: the one that lists its images, and the one of its texts."""

    split: str
    images: str
    texts: str


TRAIN = TeddyTask("train", "ImageWordData.csv", "ImageWordData.csv")
TEXT_TO_IMAGE = TeddyTask("t2i", "image_data.csv", "word_test.csv")
IMAGE_TO_TEXT = TeddyTask("i2t", "image_test.csv", "word_data.csv")
_TASKS = {task.split: task for task in (TRAIN, TEXT_TO_IMAGE, IMAGE_TO_TEXT)}


class TeddyCup(DatasetReader):
    """The attachments in a folder or up to two folders below; ids are file names.

    `train` has pairs. `t2i` has text queries for images and `i2t` image queries for texts, both
    without their correct items.
    """

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open a folder that holds any of the tables, directly or in its attachments."""
        if not path.is_dir():
            return None
        folders: dict[str, Path] = {}
        for folder in (path, *_subfolders(path)):
            for task in _TASKS.values():
                if (folder / task.images).is_file() or (folder / task.texts).is_file():
                    folders.setdefault(task.split, folder)
        return cls(folders) if folders else None

    def splits(self) -> Sequence[str]:
        return sort_splits(self._folders)

    def images(self, split: str) -> ItemPool:
        return ListedImages(self._folders[split] / IMAGES, self._list_images(split))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Yield the texts of a split; only those of `train` name their images."""
        return caption_queries(self._read_captions(split))

    def image_query_ids(self, split: str) -> Sequence[str] | None:
        """Return the image queries of `i2t`; None for other splits, whose captions name images."""
        if split != IMAGE_TO_TEXT.split:
            return None
        return [row.item_id for row in self._list_images(split) if isinstance(row, ListedImage)]

    def _list_images(self, split: str) -> Iterator[ListedImage | Failure]:
        seen: set[str] = set()
        for row in read_table(require_file(self._folders[split] / _TASKS[split].images), (_IMAGE,)):
            if isinstance(row, Failure):
                yield row
                continue
            name = row.cells[_IMAGE].strip()
            # In `train` an image has a line for each caption; elsewhere a repeated name is kept,
            # so that it is reported as a duplicate.
            if name not in seen or split != TRAIN.split:
                yield list_image(row.line, name)
            seen.add(name)

    def _read_captions(self, split: str) -> Iterator[Caption | Failure]:
        columns = (_IMAGE, _CAPTION) if split == TRAIN.split else (_TEXT, _CAPTION)
        for row in read_table(require_file(self._folders[split] / _TASKS[split].texts), columns):
            yield _parse_caption(row) if isinstance(row, TableRow) else row


def _parse_caption(row: TableRow) -> Caption | Failure:
    item_id, text_id = (row.cells.get(column, "").strip() for column in (_IMAGE, _TEXT))
    if not item_id and not text_id:
        return Failure(row.line, None, "empty id")
    return Caption(row.line, row.cells[_CAPTION], item_id or None, text_id or None)


def _subfolders(root: Path) -> Iterator[Path]:
    """Yield the folders one and two levels below, except the image folders."""
    children = [path for path in list_folders(root) if path.name != IMAGES]
    yield from children
    for folder in children:
        yield from list_folders(folder)
