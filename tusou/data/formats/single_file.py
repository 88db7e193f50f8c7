"""Single files: images without queries, or queries without images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import ONLY_SPLIT, DatasetQuery, ItemPool, MissingPart
from tusou.data.formats.muge import open_image_file, scan_queries


class SingleImageFile:
    """One image file of `item_id<TAB>base64` lines, under any name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Take any file; tried after all other formats of files."""
        return cls(path) if path.is_file() else None

    def splits(self) -> Sequence[str]:
        return [ONLY_SPLIT]

    def images(self, split: str) -> ItemPool:  # noqa: ARG002
        return open_image_file(self._path)

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:  # noqa: ARG002
        raise MissingPart(f"{self._path} holds images, no queries; give a query file")

    def query_file(self, split: str) -> None:
        """Return None: there are no queries."""

    def image_query_ids(self, split: str) -> None:
        """Return None: there are no queries."""


class SingleQueryFile:
    """One query file, known by its suffix."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Take a file of JSON lines."""
        return cls(path) if path.is_file() and path.suffix in {".jsonl", ".json"} else None

    def splits(self) -> Sequence[str]:
        return [ONLY_SPLIT]

    def images(self, split: str) -> ItemPool:  # noqa: ARG002
        raise MissingPart(f"{self._path} holds queries, no images; give an image file")

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:  # noqa: ARG002
        return scan_queries(self._path)

    def query_file(self, split: str) -> Path:  # noqa: ARG002
        return self._path

    def image_query_ids(self, split: str) -> None:
        """Return None: the queries name the images."""
