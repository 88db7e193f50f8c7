"""Lines of `IMAGE#NUMBER caption`, as the Chinese captions of Flickr and COCO are given out."""

import re
from collections.abc import Iterator
from pathlib import Path

from tusou.core.ids import Failure, ItemId, is_canonical_integer
from tusou.data.captions import Caption
from tusou.data.csv_reader import TableRow, read_table, read_text_lines

_LINE = re.compile(r"(?P<key>\S+)[\t ]+(?P<text>.+)", re.DOTALL)
_TAGGED_WORD = re.compile(r"(?P<word>.+):[A-Za-z]+")
_ENDING = re.compile(r"\.jpg$", re.IGNORECASE)
_COLUMNS = {"image", "caption"}
_EXPECTED = "expected IMAGE#NUMBER, a tab or blank, and the caption"


def read_captions(path: Path, *, segmented: bool = False) -> Iterator[Caption | Failure]:
    """Yield the captions of a file; `item_id` is the image's id as the dataset writes it.

    The first word of a line is the text id: `1.jpg#0`, `36979#zhm#3`, `36979`. Without a `#`, as
    in Flickr30k-CNA, the text has no id of its own. A file whose first line names the columns
    `image` and `caption` is a table; a header with tabs is a Failure. Captions of a `segmented`
    file are joined to sentences.
    """
    for caption in _read_table(path) if is_table(path) else _read_lines(path):
        if segmented and isinstance(caption, Caption):
            text = join_words(caption.text)
            yield Caption(caption.line, text, caption.item_id, caption.text_id)
        else:
            yield caption


def is_table(path: Path) -> bool:
    """Return whether the first line names a column `image` among others, with commas."""
    first = next(read_text_lines(path), None)
    cells = first[1].replace(" ", "").lower().split(",") if isinstance(first, tuple) else []
    return len(cells) > 1 and "image" in cells


def read_image_ids(path: Path) -> Iterator[tuple[int, str] | Failure]:
    """Yield line and image id of a list of one image per line, with or without `.jpg`."""
    for line in read_text_lines(path):
        if isinstance(line, Failure):
            yield line
        else:
            yield line[0], _remove_ending(line[1].strip())


def item_id_of(image_id: str) -> ItemId:
    """Return an image id as an item id: Flickr's numbers are integers, as in cn_clip's files."""
    return int(image_id) if is_canonical_integer(image_id) else image_id


def join_words(text: str) -> str:
    """Join the words of a segmented sentence: `一:m 只:q 狗:n` and `一 只 狗` are `一只狗`.

    Tags of parts of speech are removed if every word has one. A blank stays between words of Latin
    letters or digits, and where two blanks stand for a mark that the segmentation left out.
    """
    words = text.strip().split(" ")
    tagged = [_TAGGED_WORD.fullmatch(word) for word in words if word]
    if all(tagged):
        words = [match["word"] if (match := _TAGGED_WORD.fullmatch(word)) else "" for word in words]
    joined = ""
    for word in words:
        latin = joined and word and _is_latin(joined[-1]) and _is_latin(word[0])
        joined += f" {word}" if latin or (not word and not joined.endswith(" ")) else word
    return joined.strip()


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _read_lines(path: Path) -> Iterator[Caption | Failure]:
    for line in read_text_lines(path):
        if isinstance(line, Failure):
            yield line
            continue
        match = _LINE.fullmatch(line[1].strip())
        name, mark, _ = match["key"].partition("#") if match else ("", "", "")
        if match is None or not name or {name.lower(), match["text"].lower()} == _COLUMNS:
            yield Failure(line[0], None, _EXPECTED)
        else:
            text_id = match["key"] if mark else None
            item_id = item_id_of(_remove_ending(name))
            yield Caption(line[0], match["text"], item_id, text_id)


def _read_table(path: Path) -> Iterator[Caption | Failure]:
    for row in read_table(path, ("image", "caption")):
        if not isinstance(row, TableRow):
            yield row
        elif name := _remove_ending(row.cells["image"].strip()):
            yield Caption(row.line, row.cells["caption"], item_id_of(name))
        else:
            yield Failure(row.line, None, "empty id")


def _remove_ending(name: str) -> str:
    return _ENDING.sub("", name)
