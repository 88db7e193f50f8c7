"""Strict parsing of single JSON objects: the lines of query, prediction and text files."""

import json
from collections.abc import Callable

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId, is_id

# Field names of a text item: MUGE's, cn_clip's, and those written by hand, in order of preference.
_ID_NAMES = ("text_id", "query_id", "item_id", "id")
_TEXT_NAMES = ("text", "query_text", "caption")


def parse_object(
    line: bytes, *, number: Callable[[str], object] | None = None, unique_fields: bool = False
) -> dict[str, object]:
    """Return the JSON object on a line; ValueError says in a short phrase what is wrong with it.

    NaN and Infinity are refused, since they are not JSON. `number` makes a value of each number
    from the characters in the file; `unique_fields` refuses objects that repeat a field.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    if not text.strip():
        raise ValueError("blank line")
    try:
        value = json.loads(
            text,
            parse_int=number,
            parse_float=number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_repeated_fields if unique_fields else None,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not a JSON object ({error.msg}, column {error.colno})") from None
    except RecursionError:
        raise ValueError("not a JSON object (nested too deeply)") from None
    except ValueError as error:  # from the hooks below, or an integer of thousands of digits
        raise ValueError(f"not a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def parse_text_item(line: bytes) -> tuple[ItemId, str]:
    """Return the id and the text of a JSON object, under any of the field names in use.

    Raises BadDataset with a short phrase for an object without them.
    """
    try:
        row = parse_object(line)
    except ValueError as error:
        raise BadDataset(str(error)) from None
    text_id = next((row[name] for name in _ID_NAMES if name in row), None)
    if not is_id(text_id):
        raise BadDataset("id missing, or neither an integer nor a string")
    text = next((row[name] for name in _TEXT_NAMES if name in row), None)
    if not isinstance(text, str):
        raise BadDataset("text missing or not a string")
    return text_id, text


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_repeated_fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field appears twice")
    return fields
