"""Image files of `item_id<TAB>base64` lines, and the variants that other tools write."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tusou.core.errors import BadImage
from tusou.core.ids import Failure
from tusou.data.base import ItemRow, parse_item_id
from tusou.data.line_reader import LinePool, PoolLine
from tusou.data.text_file import refuse_unseekable_file
from tusou.images.formats import decode_image, find_format

MAX_LINE_BYTES = 46 * 2**20  # the largest image in base64, with line breaks

# base64 in mails and certificates has these line lengths; no image is as short as one such line.
_WRAPPED = (64, 76)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_DATA_URI = re.compile(rb"data:[\w/+.;=-]*;base64,")
_HEADER_ID = re.compile(rb"[A-Za-z_ ]*(id|name|sku)|\xe7\xbc\x96\xe5\x8f\xb7")  # or 编号
_HEADER_IMAGE = re.compile(rb"(?i)[\w ]*(image|img|base64|b64|content|data)[\w ]*")


def open_image_file(path: Path) -> "ImageLines":
    """Return the images of one file as an item pool; reads its first bytes.

    Raises BadDataset for other files, compressed ones included: images are read in place.
    """
    refuse_unseekable_file(path)
    return ImageLines(path)


class ImageLines(LinePool):
    """A pool of one image per line: an id, a tab, and base64 or a data URI.

    Further columns are ignored if exactly one column is an image. base64 may be broken into lines
    of 64 or 76 characters. A header and blank lines at the end are not items.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, kind="images", encoding="base64", max_bytes=MAX_LINE_BYTES, parse=_parse_image
        )

    def scan(self) -> Iterator[ItemRow | Failure]:
        wrapped: ItemRow | None = None  # a row whose base64 may continue on the next line
        last_length = 0  # of its last line
        for line in self.lines():
            if wrapped is not None:
                if isinstance(line, PoolLine) and _continues(line.data, last_length):
                    last_length = len(line.data)
                    wrapped = replace(wrapped, length=line.offset + last_length - wrapped.offset)
                    continue
                yield wrapped
                wrapped = None
            if isinstance(line, Failure):
                yield line
                continue
            if line.number == 1 and _is_header(line.data):
                self.skipped.add("header rows", line.data.decode(errors="replace")[:80])
                continue
            row = _parse_image(line.data, line.number, line.offset)
            if isinstance(row, ItemRow) and row.length in _WRAPPED:
                wrapped, last_length = row, row.length
            else:
                yield row
        if wrapped is not None:
            yield wrapped


def _continues(line: bytes, last_length: int) -> bool:
    is_base64 = _BASE64.fullmatch(line) is not None
    return last_length in _WRAPPED and len(line) <= last_length and is_base64


def _is_header(line: bytes) -> bool:
    first, *others = [cell.strip() for cell in line.split(b"\t")]
    named = _HEADER_ID.fullmatch(first.lower()) and any(map(_HEADER_IMAGE.fullmatch, others))
    return bool(named) and not any(map(_is_image, others))


def _parse_image(line: bytes, number: int, start: int) -> ItemRow | Failure:
    raw_id, tab, rest = line.partition(b"\t")
    if not tab:
        return Failure(number, None, "missing column: expected item_id<TAB>base64")
    try:
        item_id = parse_item_id(raw_id)
    except ValueError as error:
        return Failure(number, None, str(error))
    cells, offset = rest.split(b"\t"), start + len(raw_id) + 1
    position = 0
    if len(cells) > 1:
        images = [number for number, cell in enumerate(cells) if _is_image(cell)]
        if len(images) != 1:
            return Failure(number, item_id, "more than two columns")
        position = images[0]
        offset += sum(len(cell) + 1 for cell in cells[:position])
    cell = cells[position]
    if uri := _DATA_URI.match(cell):
        offset, cell = offset + uri.end(), cell[uri.end() :]
    if not cell:
        return Failure(number, item_id, "empty image")
    return ItemRow(number, item_id, 0, offset, len(cell))


def _is_image(cell: bytes) -> bool:
    """Return whether a cell begins as the base64 of an image does."""
    uri = _DATA_URI.match(cell)
    head = cell[uri.end() if uri else 0 :][:88]
    try:
        return find_format(decode_image(head[: len(head) // 4 * 4])) is not None
    except BadImage:
        return False
