"""Folders with an image file and a query file for each split, under MUGE's or cn_clip's names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, ItemPool, MissingPart, sort_splits
from tusou.data.formats.muge import open_image_file, scan_queries


@dataclass(frozen=True, slots=True)
class SplitNaming:
    """How the two files of a split are called."""

    images: tuple[str, str]  # before and after the split
    queries: tuple[str, str]

    def images_of(self, folder: Path, split: str) -> Path:
        """Name a split's image file."""
        return folder / split.join(self.images)

    def queries_of(self, folder: Path, split: str) -> Path:
        """Name a split's query file."""
        return folder / split.join(self.queries)


MUGE = SplitNaming(("MR_", "_imgs.tsv"), ("MR_", "_queries.jsonl"))
CN_CLIP = SplitNaming(("", "_imgs.tsv"), ("", "_texts.jsonl"))


class SplitFileReader:
    """A folder of such pairs; either file of a split may be missing until it is asked for."""

    def __init__(self, folder: Path, naming: SplitNaming) -> None:
        self._folder, self._naming = folder, naming

    @classmethod
    def find(cls, place: Path) -> Self | None:
        """Open a folder that holds at least one such file."""
        for naming in (MUGE, CN_CLIP):
            found = cls(place, naming)
            if place.is_dir() and found.splits():
                return found
        return None

    def splits(self) -> Sequence[str]:
        """Name the splits that either file is there for."""
        names = [path.name for path in self._folder.iterdir()]
        pairs = (self._naming.images, self._naming.queries)
        return sort_splits(
            name.removeprefix(before).removesuffix(after)
            for name in names
            for before, after in pairs
            if name.startswith(before) and name.endswith(after) and len(name) > len(before + after)
        )

    def images(self, split: str) -> ItemPool:
        """Give the images of a split as items."""
        return open_image_file(self._there(self._naming.images_of(self._folder, split)))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Read the query file of a split, line by line."""
        return scan_queries(self.queries_file(split))

    def asking_images(self, split: str) -> None:
        """Leave it to the queries: they name the images."""

    def queries_file(self, split: str) -> Path:
        """Name the file that holds a split's queries; BadDataset when it is missing."""
        return self._there(self._naming.queries_of(self._folder, split))

    def _there(self, path: Path) -> Path:
        if not path.is_file():
            raise MissingPart(f"{path} is missing")
        return path
