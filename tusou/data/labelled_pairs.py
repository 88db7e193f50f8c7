"""Pairs of a text and an image, labelled as matching or not: JSON lines."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tusou.core.ids import Failure, ItemId, is_id
from tusou.core.json_objects import parse_object
from tusou.data.jsonl import split_lines
from tusou.data.query_lines import read_query_lines

T = TypeVar("T")

_ID_NAMES = ("item_id", "image_id")
_TEXT_NAMES = ("text", "query_text", "caption")
_LABELS: dict[object, bool] = {0: False, 1: True, "0": False, "1": True}


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """A text and an image, and whether the text describes the image."""

    line: int
    text: str
    item_id: ItemId
    matches: bool


def scan_pairs(path: Path) -> Iterator[LabelledPair | Failure]:
    """Yield each pair of a file of `{"text", "item_id" or "image_id", "label"}`, or a Failure."""
    return parse_rows(path, _parse_pair)


def parse_rows(path: Path, parse: Callable[[dict[str, object], int], T]) -> Iterator[T | Failure]:
    """Yield what `parse` makes of each object of a file and its line; ValueError is a Failure."""
    for number, line in enumerate(split_lines(read_query_lines(path)), start=1):
        try:
            yield parse(parse_object(line), number)
        except ValueError as error:
            yield Failure(number, None, str(error))


def parse_label(value: object) -> bool:
    """Return whether a pair matches; ValueError for a label that is neither 0 nor 1."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value not in _LABELS:
        raise ValueError("label is neither 0 nor 1")
    return _LABELS[value]


def _parse_pair(row: dict[str, object], number: int) -> LabelledPair:
    item_id = next((row[name] for name in _ID_NAMES if name in row), None)
    if not is_id(item_id):
        raise ValueError("item_id missing, or neither an integer nor a string")
    text = next((row[name] for name in _TEXT_NAMES if name in row), None)
    if not isinstance(text, str):
        raise ValueError("text missing or not a string")
    return LabelledPair(number, text, item_id, parse_label(row.get("label")))
