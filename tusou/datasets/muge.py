"""The MUGE format: pictures as `item_id<TAB>base64` lines, queries as JSON lines."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeGuard

from tusou.errors import BadDataset
from tusou.types import Failure, ItemId

# 8 MB of picture is 11.2 million base64 characters; nothing usable is longer than this.
MAX_LINE_BYTES = 12 * 2**20
MAX_ID_BYTES = 256

_BOM = b"\xef\xbb\xbf"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# cn_clip names the same fields differently; a file may use either.
_NAMES = {"text_id": "query_id", "text": "query_text", "image_ids": "item_ids"}
_SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class PictureRow:
    """Where one picture lies: `length` bytes of base64 at byte `offset` of the file."""

    line: int
    item_id: str
    offset: int
    length: int


class ImagesFile:
    """One pass over a MUGE picture file in the memory of its longest line.

    A BOM before the first id and CRLF line ends are accepted; what cannot be used becomes a
    `Failure`. After the pass `sha256` and `size` describe the bytes that were read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The digest of all bytes read so far, in hexadecimal."""
        return self._hash.hexdigest()

    def scan(self) -> Iterator[PictureRow | Failure]:
        """Yield every line once, in order."""
        with self._path.open("rb", buffering=2**20) as file:
            number = 0
            while chunk := self._read(file):
                number += 1
                start = self.size - len(chunk)
                if len(chunk) > MAX_LINE_BYTES:
                    self._skip_rest(file, chunk)
                    yield Failure(number, None, f"line longer than {MAX_LINE_BYTES} bytes")
                else:
                    yield _picture_row(chunk, number, start)

    def _read(self, file: BinaryIO) -> bytes:
        chunk = file.readline(MAX_LINE_BYTES + 1)
        self._hash.update(chunk)
        self.size += len(chunk)
        return chunk

    def _skip_rest(self, file: BinaryIO, chunk: bytes) -> None:
        while chunk and not chunk.endswith(b"\n"):
            chunk = self._read(file)


def _picture_row(chunk: bytes, number: int, start: int) -> PictureRow | Failure:
    line = chunk.removesuffix(b"\n").removesuffix(b"\r")
    if number == 1 and line.startswith(_BOM):
        line, start = line[len(_BOM) :], start + len(_BOM)
    if not line.strip():
        return Failure(number, None, "blank line")
    raw_id, tab, encoded = line.partition(b"\t")
    if not tab:
        return Failure(number, None, "missing column: expected item_id<TAB>base64")
    item_id, problem = _item_id(raw_id)
    if problem:
        return Failure(number, item_id, problem)
    if not encoded:
        return Failure(number, item_id, "empty picture")
    if b"\t" in encoded:
        return Failure(number, item_id, "more than two columns")
    return PictureRow(number, item_id or "", start + len(raw_id) + 1, len(encoded))


def _item_id(raw: bytes) -> tuple[str | None, str]:
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


@dataclass(frozen=True, slots=True)
class Query:
    """One line of a query file; `item_ids` is None where the file gives no answers."""

    line: int
    query_id: ItemId
    text: str
    item_ids: tuple[ItemId, ...] | None


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
