"""The MUGE format: pictures as `item_id<TAB>base64` lines, queries as JSON lines."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeGuard

from tusou.datasets.base import ItemRow, Query, read_id
from tusou.datasets.lines import LineFile
from tusou.errors import BadDataset
from tusou.types import Encoding, Failure, ItemId, Items

# 8 MB of picture is 11.2 million base64 characters; nothing usable is longer than this.
MAX_LINE_BYTES = 12 * 2**20

# cn_clip names the same fields differently; a file may use either.
_NAMES = {"text_id": "query_id", "text": "query_text", "image_ids": "item_ids"}
_SHOWN_PROBLEMS = 20


class ImagesFile:
    """One pass over a MUGE picture file in the memory of its longest line.

    A BOM before the first id and CRLF line ends are accepted; what cannot be used becomes a
    `Failure`.
    """

    kind: Items = "pictures"
    encoding: Encoding = "base64"

    def __init__(self, path: Path) -> None:
        self._lines = LineFile(path, MAX_LINE_BYTES)

    @property
    def files(self) -> Sequence[Path]:
        """The file itself."""
        return (self._lines.path,)

    @property
    def sha256(self) -> str:
        """The digest of all bytes read so far, in hexadecimal."""
        return self._lines.sha256

    @property
    def size(self) -> int:
        """Count the bytes read so far."""
        return self._lines.size

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield every line once, in order."""
        for line in self._lines:
            if line.data is None:
                yield Failure(line.number, None, f"line longer than {MAX_LINE_BYTES} bytes")
            else:
                yield _picture_row(line.data, line.number, line.offset)


def open_images(path: Path, split: str | None) -> ImagesFile | None:
    """Open any one file that nobody else knew, whatever its name."""
    return ImagesFile(path) if split is None and path.is_file() else None


def _picture_row(line: bytes, number: int, start: int) -> ItemRow | Failure:
    if not line.strip():
        return Failure(number, None, "blank line")
    raw_id, tab, encoded = line.partition(b"\t")
    if not tab:
        return Failure(number, None, "missing column: expected item_id<TAB>base64")
    item_id, problem = read_id(raw_id)
    if problem:
        return Failure(number, item_id, problem)
    if not encoded:
        return Failure(number, item_id, "empty picture")
    if b"\t" in encoded:
        return Failure(number, item_id, "more than two columns")
    return ItemRow(number, item_id or "", 0, start + len(raw_id) + 1, len(encoded))


def read_queries(path: Path) -> list[Query]:
    """Read a whole query file; BadDataset lists every unusable line with its number."""
    queries: list[Query] = []
    problems: list[str] = []
    first_seen: dict[ItemId, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        try:
            query = _query(line, number)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        if query.query_id in first_seen:
            first = first_seen[query.query_id]
            problems.append(f"line {number}: query_id already used on line {first}")
            continue
        first_seen[query.query_id] = number
        queries.append(query)
    if problems:
        raise BadDataset(_report(path, problems))
    if not queries:
        raise BadDataset(f"{path}: no queries in the file")
    return queries


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    return text.removesuffix("\n").split("\n") if text else []


def _query(line: str, number: int) -> Query:
    if not line.strip():
        raise ValueError("blank line")
    try:
        row = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ValueError("not a JSON object") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    row = {_NAMES.get(key, key): value for key, value in row.items()}
    if not is_id(query_id := row.get("query_id")):
        raise ValueError("query_id missing, or neither an integer nor a string")
    if not isinstance(text := row.get("query_text"), str):
        raise ValueError("query_text missing or not a string")
    return Query(number, query_id, text, _answers(row.get("item_ids")))


def _answers(value: object) -> tuple[ItemId, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(is_id(item) for item in value):
        raise ValueError("item_ids is not a list of integers or strings")
    return tuple(value)


def is_id(value: object) -> TypeGuard[ItemId]:
    """Tell whether a JSON value may be an id: an integer (not a boolean) or a string."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _report(path: Path, problems: list[str]) -> str:
    shown = problems[:_SHOWN_PROBLEMS]
    rest = len(problems) - len(shown)
    more = [f"and {rest} more"] if rest else []
    return f"{path}: {len(problems)} unusable lines: " + "; ".join(shown + more)
