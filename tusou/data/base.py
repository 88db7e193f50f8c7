"""What a dataset promises, whichever format it comes in: items as they lie on disk, and queries."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tusou.core.errors import BadDataset
from tusou.core.ids import Encoding, Failure, ItemId, ItemKind

MAX_ID_BYTES = 256

# How many problems of a file one message lists.
_SHOWN_PROBLEMS = 20
# The order people expect; any other split comes after, by name.
SPLITS = ("train", "dev", "val", "valid", "test")
# The split of a dataset that is not divided.
ONLY_SPLIT = "all"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class MissingPart(BadDataset):
    """The data is in order and has no such part: images without queries, queries alone."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """Where one item lies: `length` bytes at byte `offset` of file number `file` of its pool."""

    line: int  # names the row in failures: a file's line, or the ordinal of a file among many
    item_id: str
    file: int
    offset: int
    length: int


class ItemPool(Protocol):
    """The items of one split, as they lie on disk: one pass, in the memory of one row.

    A pool is read once; what describes its bytes is complete after the pass, and equal bytes
    under equal names give the same digest.
    """

    kind: ItemKind
    encoding: Encoding

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield every row once, in order; what cannot be used is a Failure."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """The files that rows number, all below the place the pool was opened at."""
        ...

    @property
    def sha256(self) -> str:
        """The digest of all bytes read, in hexadecimal; of many files, their names count too."""
        ...

    @property
    def size(self) -> int:
        """Count the bytes of all files together."""
        ...


@dataclass(frozen=True, slots=True)
class DatasetQuery:
    """One line of a query file; `item_ids` is None where the file gives no answers."""

    line: int
    query_id: ItemId
    text: str
    item_ids: tuple[ItemId, ...] | None


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """An image that asks for texts; `text_ids` are all the correct ones."""

    line: int
    item_id: ItemId
    text_ids: tuple[ItemId, ...]


def parse_item_id(raw: bytes) -> tuple[str | None, str]:
    """Read an item id; the second value says what is wrong with it, or is empty."""
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
    """Put splits in the order they are used in, each once."""
    known = {split: place for place, split in enumerate(SPLITS)}
    return sorted(set(splits), key=lambda split: (known.get(split, len(known)), split))


def require_all(path: Path, scanned: Iterable[DatasetQuery | Failure]) -> list[DatasetQuery]:
    """Take all queries or none: BadDataset lists every unusable line with its number."""
    queries: list[DatasetQuery] = []
    problems: list[str] = []
    for found in scanned:
        if isinstance(found, Failure):
            where = "" if found.file is None else f"{found.file} "
            problems.append(f"{where}line {found.line}: {found.reason}")
        else:
            queries.append(found)
    if problems:
        raise BadDataset(_report(path, problems))
    if not queries:
        raise BadDataset(f"{path}: no queries in the file")
    return queries


def _report(path: Path, problems: list[str]) -> str:
    shown = problems[:_SHOWN_PROBLEMS]
    rest = len(problems) - len(shown)
    more = [f"and {rest} more"] if rest else []
    return f"{path}: {len(problems)} unusable lines: " + "; ".join(shown + more)
