"""One text a line: JSON objects of an id and a text, under any of the names in use."""

import json

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId, is_id

# MUGE's names, cn_clip's, and what people write by hand; the first that is there counts.
ID_NAMES = ("text_id", "query_id", "item_id", "id")
TEXT_NAMES = ("text", "query_text", "caption")


def read_text_row(line: bytes) -> tuple[ItemId, str]:
    """Read a line's id and text; BadDataset with a short phrase for what it is not."""
    try:
        row = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadDataset("not a JSON object") from None
    if not isinstance(row, dict):
        raise BadDataset("not a JSON object")
    text_id = next((row[name] for name in ID_NAMES if name in row), None)
    if not is_id(text_id):
        raise BadDataset("id missing, or neither an integer nor a string")
    text = next((row[name] for name in TEXT_NAMES if name in row), None)
    if not isinstance(text, str):
        raise BadDataset("text missing or not a string")
    return text_id, text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
