"""Single files: images without queries, or queries without images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, DatasetReader, ItemPool
from tusou.data.formats.image_lines import open_image_file
from tusou.data.formats.muge import scan_queries
from tusou.data.labelled_pairs import LabelledPair, scan_pairs
from tusou.data.query_lines import query_suffix


class SingleImageFile(DatasetReader):
    """One image file of `item_id<TAB>base64` lines, under any name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Take any file; tried after all other formats of files."""
        return cls(path) if path.is_file() else None

    def images(self, split: str) -> ItemPool:  # noqa: ARG002
        return open_image_file(self._path)


class SingleQueryFile(DatasetReader):
    """One query file, known by its suffix."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Take a file of JSON lines, a table of queries, or a text without image rows."""
        suffix = query_suffix(path)
        is_query_file = suffix in {".jsonl", ".ndjson", ".json", ".csv"} or (
            suffix == ".txt" and not _has_columns(path)
        )
        return cls(path) if path.is_file() and is_query_file else None

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:  # noqa: ARG002
        return scan_queries(self._path)

    def scan_pairs(self, split: str) -> Iterator[LabelledPair | Failure]:  # noqa: ARG002
        return scan_pairs(self._path)

    def query_file(self, split: str) -> Path:  # noqa: ARG002
        return self._path


def _has_columns(path: Path) -> bool:
    """Return whether the first line has a tab, as the rows of an image file."""
    with path.open("rb") as file:
        return b"\t" in file.readline(2**16)
