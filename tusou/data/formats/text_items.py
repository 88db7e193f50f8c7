"""A file of texts that are items themselves: JSON lines of an id and a text."""

from pathlib import Path

from tusou.bundle.item_reader import text_of
from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.core.json_objects import parse_text_item
from tusou.data.base import ItemRow, parse_item_id
from tusou.data.line_reader import LinePool

MAX_LINE_BYTES = 2**20


def _text_row(line: bytes, number: int, start: int) -> ItemRow | Failure:
    item_id = None
    try:
        # Halves of surrogate pairs have no bytes, and so make no id.
        raw_id = str(parse_text_item(line)[0]).encode(errors="surrogatepass")
        item_id, problem = parse_item_id(raw_id)
        if problem:
            return Failure(number, item_id, problem)
        text_of(line, "json")
    except BadDataset as error:
        return Failure(number, item_id, str(error))
    return ItemRow(number, item_id or "", 0, start, len(line))


def open_text_file(path: Path) -> LinePool:
    """Return the texts of one file as a pool; nothing is read yet."""
    return LinePool(path, kind="texts", encoding="json", longest=MAX_LINE_BYTES, read=_text_row)
