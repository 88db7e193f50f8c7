"""Folders with an image file and a query file per split, named as MUGE or cn_clip names them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, DatasetReader, ItemPool, require_file, sort_splits
from tusou.data.formats.image_lines import open_image_file
from tusou.data.formats.muge import scan_queries


@dataclass(frozen=True, slots=True)
class SplitNaming:
    """The names of a split's two files: the text before and after the split's name."""

    images: tuple[str, str]
    queries: tuple[str, str]

    def image_path(self, folder: Path, split: str) -> Path:
        return folder / split.join(self.images)

    def query_path(self, folder: Path, split: str) -> Path:
        return folder / split.join(self.queries)


MUGE = SplitNaming(("MR_", "_imgs.tsv"), ("MR_", "_queries.jsonl"))
CN_CLIP = SplitNaming(("", "_imgs.tsv"), ("", "_texts.jsonl"))


class SplitFileReader(DatasetReader):
    """A folder with the files of each split, of which either may be missing."""

    def __init__(self, folder: Path, naming: SplitNaming) -> None:
        self._folder, self._naming = folder, naming

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open a folder that holds at least one file with MUGE's or cn_clip's names."""
        for naming in (MUGE, CN_CLIP):
            reader = cls(path, naming)
            if path.is_dir() and reader.splits():
                return reader
        return None

    def splits(self) -> Sequence[str]:
        """Return the splits that have either file."""
        # macOS leaves `._train_imgs.tsv` beside a file in an archive.
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries if entry.name[0] != "."]
        patterns = (self._naming.images, self._naming.queries)
        return sort_splits(
            name.removeprefix(before).removesuffix(after)
            for name in names
            for before, after in patterns
            if name.startswith(before) and name.endswith(after) and len(name) > len(before + after)
        )

    def images(self, split: str) -> ItemPool:
        return open_image_file(require_file(self._naming.image_path(self._folder, split)))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        return scan_queries(self.query_file(split))

    def query_file(self, split: str) -> Path:
        return require_file(self._naming.query_path(self._folder, split))
