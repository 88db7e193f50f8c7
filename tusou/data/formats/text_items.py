"""Text items: JSON lines of an id and a text."""

from pathlib import Path

from tusou.bundle.item_reader import decode_stored_text
from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.core.json_objects import parse_text_item
from tusou.data.base import ItemRow, parse_item_id
from tusou.data.line_reader import LinePool
from tusou.data.text_file import refuse_unseekable_file

MAX_LINE_BYTES = 2**20


def open_text_file(path: Path) -> LinePool:
    """Return the texts of one file as an item pool; reads its first bytes.

    Raises BadDataset for other files, compressed ones included: texts are read in place.
    """
    refuse_unseekable_file(path)
    return LinePool(path, kind="texts", encoding="json", max_bytes=MAX_LINE_BYTES, parse=_parse_row)


def _parse_row(line: bytes, number: int, start: int) -> ItemRow | Failure:
    item_id = None
    try:
        # Half a surrogate pair has no UTF-8 bytes, so it is refused as an id.
        raw_id = str(parse_text_item(line)[0]).encode(errors="surrogatepass")
        item_id = parse_item_id(raw_id)
        decode_stored_text(line, "json")
    except (ValueError, BadDataset) as error:
        return Failure(number, item_id, str(error))
    return ItemRow(number, item_id, 0, start, len(line))
