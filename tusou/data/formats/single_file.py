"""Single files: images without queries, or queries without images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import DatasetQuery, DatasetReader, ItemPool
from tusou.data.formats.muge import open_image_file, scan_queries


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
        """Take a file of JSON lines."""
        return cls(path) if path.is_file() and path.suffix in {".jsonl", ".json"} else None

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:  # noqa: ARG002
        return scan_queries(self._path)

    def query_file(self, split: str) -> Path:  # noqa: ARG002
        return self._path
