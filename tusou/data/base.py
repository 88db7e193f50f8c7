"""Types of datasets in every format: item pools, queries and split names."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tusou.core.errors import BadDataset
from tusou.core.ids import Encoding, Failure, ItemId, ItemKind

MAX_ID_BYTES = 256

# Problems of a file that one message lists.
_MAX_PROBLEMS = 20
# The usual order; other splits follow by name.
SPLITS = ("train", "dev", "val", "valid", "test")
# The split of a dataset that is not divided.
ONLY_SPLIT = "all"
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


class ItemPool(Protocol):
    """The items of one split, scanned once, in the memory of one row.

    `sha256` and `size` are complete after the scan. Equal bytes under equal names give the same
    digest.
    """

    kind: ItemKind
    encoding: Encoding

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield every row once, in order; an unusable row is a Failure."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """The files that rows refer to by position, all below the path of the dataset."""
        ...

    @property
    def sha256(self) -> str:
        """The hexadecimal digest of all bytes read; file names count in pools of many files."""
        ...

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        ...


@dataclass(frozen=True, slots=True)
class DatasetQuery:
    """A text query of a dataset; `item_ids` is None if the file has no correct items for it."""

    line: int
    query_id: ItemId
    text: str
    item_ids: tuple[ItemId, ...] | None


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """An image used as a query for texts, with the ids of all correct texts."""

    line: int
    item_id: ItemId
    text_ids: tuple[ItemId, ...]


def parse_item_id(raw: bytes) -> tuple[str | None, str]:
    """Return an item id and an empty string, or what is wrong as the second value."""
    if not raw:
        return None, "empty id"
    if len(raw) > MAX_ID_BYTES:
        return None, f"id longer than {MAX_ID_BYTES} bytes"
    try:
        item_id = raw.decode()
    except UnicodeDecodeError:
        return None, "id is not UTF-8"
    if _CONTROL.search(item_id) or item_id != item_id.strip():
        return None, "id with blanks around it or control characters"
    return item_id, ""


def sort_splits(splits: Iterable[str]) -> list[str]:
    """Return the different splits in their usual order."""
    ranks = {split: rank for rank, split in enumerate(SPLITS)}
    return sorted(set(splits), key=lambda split: (ranks.get(split, len(ranks)), split))


def require_all(path: Path, rows: Iterable[DatasetQuery | Failure]) -> list[DatasetQuery]:
    """Return all queries; BadDataset lists every unusable line, and an empty file is an error."""
    queries: list[DatasetQuery] = []
    problems: list[str] = []
    for row in rows:
        if isinstance(row, Failure):
            prefix = "" if row.file is None else f"{row.file} "
            problems.append(f"{prefix}line {row.line}: {row.reason}")
        else:
            queries.append(row)
    if problems:
        listed = problems[:_MAX_PROBLEMS]
        if len(problems) > len(listed):
            listed.append(f"and {len(problems) - len(listed)} more")
        raise BadDataset(f"{path}: {len(problems)} unusable lines: {'; '.join(listed)}")
    if not queries:
        raise BadDataset(f"{path}: no queries in the file")
    return queries
