"""Files that stand alone: images without queries, queries without images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from tusou.core.ids import Failure
from tusou.data.base import ONLY_SPLIT, DatasetQuery, ItemPool, MissingPart
from tusou.data.formats.muge import open_image_file, scan_queries


class SingleImageFile:
    """One image file of `item_id<TAB>base64` lines, whatever its name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def find(cls, place: Path) -> Self | None:
        """Take any file that nobody else knew."""
        return cls(place) if place.is_file() else None

    def splits(self) -> Sequence[str]:
        """Name the one there is."""
        return [ONLY_SPLIT]

    def images(self, split: str) -> ItemPool:  # noqa: ARG002
        """Give its images as items."""
        return open_image_file(self._path)

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:  # noqa: ARG002
        """Refuse: there are none."""
        raise MissingPart(f"{self._path} holds images, no queries; give a query file")

    def queries_file(self, split: str) -> None:
        """Say that no split has a query file."""

    def asking_images(self, split: str) -> None:
        """Leave it to the queries."""


class SingleQueryFile:
    """One query file, known by its ending."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def find(cls, place: Path) -> Self | None:
        """Take a file of JSON lines."""
        return cls(place) if place.is_file() and place.suffix in {".jsonl", ".json"} else None

    def splits(self) -> Sequence[str]:
        """Name the one there is."""
        return [ONLY_SPLIT]

    def images(self, split: str) -> ItemPool:  # noqa: ARG002
        """Refuse: there are none."""
        raise MissingPart(f"{self._path} holds queries, no images; give an image file")

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:  # noqa: ARG002
        """Read it line by line."""
        return scan_queries(self._path)

    def queries_file(self, split: str) -> Path:  # noqa: ARG002
        """Name the file itself."""
        return self._path

    def asking_images(self, split: str) -> None:
        """Leave it to the queries."""
