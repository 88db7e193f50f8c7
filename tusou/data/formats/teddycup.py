"""Teddy Cup 2024, problem B: CSV tables of names and captions beside a folder `ImageData`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, ItemPool, MissingPart, sort_splits
from tusou.data.captions import Caption, caption_queries
from tusou.data.csv_reader import TableRow, read_table
from tusou.data.listed_images import ListedImage, ListedImages, listed, listing

IMAGES = "ImageData"
_IMAGE, _TEXT, _CAPTION = "image_id", "text_id", "caption"


@dataclass(frozen=True, slots=True)
class Task:
    """The tables of one attachment: which names its images, which holds its texts."""

    split: str
    images: str
    texts: str


TRAIN = Task("train", "ImageWordData.csv", "ImageWordData.csv")
TEXT_TO_IMAGE = Task("t2i", "image_data.csv", "word_test.csv")
IMAGE_TO_TEXT = Task("i2t", "image_test.csv", "word_data.csv")
_TASKS = {task.split: task for task in (TRAIN, TEXT_TO_IMAGE, IMAGE_TO_TEXT)}


class TeddyCup:
    """The attachments that lie in a folder or up to two folders below; ids are file names.

    `train` has pairs; `t2i` asks with texts for images and `i2t` with images for texts, both
    without answers.
    """

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    @classmethod
    def find(cls, place: Path) -> Self | None:
        """Open a folder that holds any of the tables, under itself or its attachments."""
        if not place.is_dir():
            return None
        folders: dict[str, Path] = {}
        for folder in (place, *_below(place)):
            for task in _TASKS.values():
                if (folder / task.images).is_file() or (folder / task.texts).is_file():
                    folders.setdefault(task.split, folder)
        return cls(folders) if folders else None

    def splits(self) -> Sequence[str]:
        """Name the tasks whose tables are there."""
        return sort_splits(self._folders)

    def images(self, split: str) -> ItemPool:
        """Give the images of a split as items."""
        return ListedImages(self._folders[split] / IMAGES, self._named(split))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Yield the texts of a split; only those of `train` have answers."""
        return caption_queries(self._captions(split))

    def queries_file(self, split: str) -> None:
        """Say that no split has a query file."""

    def asking_images(self, split: str) -> Sequence[str] | None:
        """List the images that ask, where the split names them; None where texts do."""
        if split != IMAGE_TO_TEXT.split:
            return None
        return [named.item_id for named in self._named(split) if isinstance(named, ListedImage)]

    def _named(self, split: str) -> Iterator[ListedImage | Failure]:
        seen: set[str] = set()
        for row in read_table(self._table(split, _TASKS[split].images), (_IMAGE,)):
            if isinstance(row, Failure):
                yield row
                continue
            name = row.cells[_IMAGE].strip()
            # An image with several captions has several lines; in a list of images it may not.
            if name not in seen or split != TRAIN.split:
                yield listed(row.line, name)
            seen.add(name)

    def _captions(self, split: str) -> Iterator[Caption | Failure]:
        columns = (_IMAGE, _CAPTION) if split == TRAIN.split else (_TEXT, _CAPTION)
        for row in read_table(self._table(split, _TASKS[split].texts), columns):
            yield _caption(row) if isinstance(row, TableRow) else row

    def _table(self, split: str, name: str) -> Path:
        path = self._folders[split] / name
        if not path.is_file():
            raise MissingPart(f"{path} is missing")
        return path


def _caption(row: TableRow) -> Caption | Failure:
    item_id, text_id = (row.cells.get(column, "").strip() for column in (_IMAGE, _TEXT))
    if not item_id and not text_id:
        return Failure(row.line, None, "empty id")
    return Caption(row.line, row.cells[_CAPTION], item_id or None, text_id or None)


def _below(place: Path) -> Iterator[Path]:
    nearest = [path for path in listing(place)[0] if path.name != IMAGES]
    yield from nearest
    for folder in nearest:
        yield from listing(folder)[0]
