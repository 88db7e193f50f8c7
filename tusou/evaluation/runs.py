"""A run: the file of ranked items that somebody's search gave for each query."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tusou.datasets.muge import is_id
from tusou.types import ItemId

# The field names of a MUGE submission, and of cn_clip's predictions.
_FIELDS = (("query_id", "item_ids"), ("text_id", "image_ids"))


@dataclass(frozen=True, slots=True)
class Run:
    """A run file as it was read, usable or not."""

    lines: dict[ItemId, int]  # every query the file names -> its first line
    rankings: dict[ItemId, tuple[ItemId, ...]]  # the usable ones: items best first, all different
    problems: tuple[tuple[int, str], ...]  # (line, what is wrong), in file order


def read_run(path: Path, top_k: int) -> Run:
    """Read a run whose rows must hold exactly `top_k` items; BOM and CRLF are accepted."""
    run_lines: dict[ItemId, int] = {}
    rankings: dict[ItemId, tuple[ItemId, ...]] = {}
    problems: list[tuple[int, str]] = []
    for line, text in enumerate(_lines(path), start=1):
        try:
            query_id, items = _row(text)
            earlier = run_lines.setdefault(query_id, line)
            if earlier != line:
                raise ValueError(f"query {show(query_id)} again, first on line {earlier}")
            rankings[query_id] = _ranking(query_id, items, top_k)
        except ValueError as error:
            problems.append((line, str(error)))
    return Run(run_lines, rankings, tuple(problems))


def show(value: object) -> str:
    """Write an id so that 7 and "7" look different."""
    return json.dumps(value, ensure_ascii=False)


def _lines(path: Path) -> list[bytes]:
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    return data.removesuffix(b"\n").split(b"\n") if data else []


def _row(text: bytes) -> tuple[ItemId, object]:
    if not text.strip():
        raise ValueError("blank line")
    row = _object(text)
    name, items_name = _FIELDS[1] if "text_id" in row and "query_id" not in row else _FIELDS[0]
    query_id = row.get(name)
    if not is_id(query_id):
        raise ValueError(f"{name} is missing, or neither an integer nor a string")
    return query_id, row.get(items_name)


def _ranking(query_id: ItemId, items: object, top_k: int) -> tuple[ItemId, ...]:
    who = f"query {show(query_id)}"
    if not isinstance(items, list):
        raise ValueError(f"{who}: the list of items is missing")
    if wrong := [item for item in items if not is_id(item)]:
        raise ValueError(f"{who}: {show(wrong[0])} is neither an integer nor a string")
    if len(items) != top_k:
        raise ValueError(f"{who}: {len(items)} items instead of {top_k}")
    if repeated := [item for item, count in Counter(items).items() if count > 1]:
        raise ValueError(f"{who}: repeats {', '.join(map(show, repeated))}")
    return tuple(items)


def _object(text: bytes) -> dict[str, object]:
    try:
        row = json.loads(text.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ValueError("not a JSON object") from None
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
