"""Types of datasets in every format: readers, item pools, queries and split names."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from tusou.core.errors import BadDataset
from tusou.core.ids import Encoding, Failure, ItemId, ItemKind
from tusou.core.problems import list_problems
from tusou.data.labelled_pairs import LabelledPair
from tusou.data.scan_deadline import SCAN_SECONDS, iterate_in_time

MAX_ID_BYTES = 256

# The usual order; other splits follow by name.
SPLITS = ("train", "dev", "val", "valid", "test")
# The split of a dataset that is not divided.
ONLY_SPLIT = "all"
Row = TypeVar("Row")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class MissingPart(BadDataset):
    """A dataset without the requested part, as images without queries or queries alone."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item of a pool, and the span of its bytes: `length` bytes from `offset` in a file."""

    line: int  # names the row in failures: the line in its file, or the number of its file
    item_id: str
    file: int  # position in the pool's `files`
    offset: int
    length: int


class SkippedFiles:
    """Counts the files of a source that are not items, by reason, with one example of each."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._examples: dict[str, str] = {}

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, reason: str, name: str) -> None:
        self._counts[reason] += 1
        self._examples.setdefault(reason, name.encode(errors="replace").decode())

    def sentences(self) -> list[str]:
        """Return one sentence for each reason: `3 members ending in .cls, such as 00.cls`."""
        counts = self._counts.most_common()
        return [f"{count} {reason}, such as {self._examples[reason]}" for reason, count in counts]


class ItemPool(ABC):
    """The items of one split, scanned once, in the memory of one row.

    Rows refer by position to `files`, which all lie below the path of the dataset. `sha256`,
    `size`, in bytes, and `skipped` are complete after the scan.
    """

    kind: ItemKind = "images"
    encoding: Encoding = "raw"

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.size = 0
        self.skipped = SkippedFiles()
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The hexadecimal digest; equal bytes under equal names give the same."""
        return self._hash.hexdigest()

    @abstractmethod
    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield every row once, in order; an unusable row is a Failure."""

    def scan_in_time(self, seconds: float = SCAN_SECONDS) -> Iterator[ItemRow | Failure]:
        """Yield what `scan` does; TimeoutError when nothing can be read for that long."""
        return iterate_in_time(self.scan(), lambda: self.size, self._last_file, seconds)

    def _last_file(self) -> str:
        return str(self.files[-1]) if self.files else ""


def scan_unique(pool: ItemPool) -> Iterator[ItemRow | Failure]:
    """Yield every row of a pool, with rows that repeat an id as failures."""
    seen_ids: set[str] = set()
    for row in pool.scan_in_time():
        if isinstance(row, Failure):
            yield row
        elif row.item_id in seen_ids:
            yield Failure(row.line, row.item_id, "duplicate id")
        else:
            seen_ids.add(row.item_id)
            yield row


@dataclass(frozen=True, slots=True)
class DatasetQuery:
    """A text query of a dataset; `item_ids` is None if the file has no correct items for it."""

    line: int
    query_id: ItemId
    text: str
    item_ids: tuple[ItemId, ...] | None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """An image used as a query for texts, with the ids of all correct texts."""

    line: int
    item_id: ItemId
    text_ids: tuple[ItemId, ...]


class DatasetReader(ABC):
    """A reader of one dataset format; every `split` is one of `splits()`."""

    @classmethod
    @abstractmethod
    def find(cls, path: Path) -> Self | None:
        """Return a reader of the dataset at a path; None if it has another format."""

    def splits(self) -> Sequence[str]:
        """Return the names of the splits, at least one."""
        return [ONLY_SPLIT]

    def describe(self) -> str | None:
        """Describe what the files were taken for; None where their names say it."""
        return None

    def images(self, split: str) -> ItemPool | None:  # noqa: ARG002
        """Return the images of a split; None if the format has none."""
        return None

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure] | None:  # noqa: ARG002
        """Yield each query, or a Failure for an unusable line; None if the format has none."""
        return None

    def scan_pairs(self, split: str) -> Iterator[LabelledPair | Failure] | None:  # noqa: ARG002
        """Yield each labelled pair of a text and an image; None if the format has none."""
        return None

    def query_file(self, split: str) -> Path | None:  # noqa: ARG002
        """Return the query file of a split; None if the format has no query files."""
        return None

    def image_query_ids(self, split: str) -> Sequence[str] | None:  # noqa: ARG002
        """Return the ids of image queries if the format lists them; None if captions name them."""
        return None


def require_file(path: Path) -> Path:
    """Return the path; MissingPart if there is no file."""
    if not path.is_file():
        raise MissingPart(f"{path} is missing")
    return path


def parse_item_id(raw: bytes) -> str:
    """Return an item id; ValueError says in a short phrase what is wrong with it."""
    if not raw:
        raise ValueError("empty id")
    if len(raw) > MAX_ID_BYTES:
        raise ValueError(f"id longer than {MAX_ID_BYTES} bytes")
    try:
        item_id = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("id is not UTF-8") from None
    if _CONTROL.search(item_id) or item_id != item_id.strip():
        raise ValueError("id with blanks around it or control characters")
    return item_id


def sort_splits(splits: Iterable[str]) -> list[str]:
    """Return the different splits in their usual order."""
    ranks = {split: rank for rank, split in enumerate(SPLITS)}
    return sorted(set(splits), key=lambda split: (ranks.get(split, len(ranks)), split))


def require_all(path: Path, rows: Iterable[Row | Failure], kind: str = "queries") -> list[Row]:
    """Return all rows; BadDataset lists every unusable line, and an empty file is an error."""
    queries: list[Row] = []
    problems: list[str] = []
    for row in rows:
        if isinstance(row, Failure):
            prefix = "" if row.file is None else f"{row.file} "
            problems.append(f"{prefix}line {row.line}: {row.reason}")
        else:
            queries.append(row)
    if problems:
        raise BadDataset(f"{path}: {len(problems)} unusable lines{list_problems(problems)}")
    if not queries:
        raise BadDataset(f"{path}: no {kind} in the file")
    return queries
