"""Writes MUGE's and cn_clip's folders: base64 images in a TSV, queries in JSON lines."""

import json
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from tusou.bundle.item_ids import is_canonical_integer
from tusou.core.ids import ItemId
from tusou.data import DatasetQuery
from tusou.data.formats.split_files import CN_CLIP, MUGE, SplitNaming
from tusou_lab.convert.writers import ConversionNotes, SourceSplit

_FIELDS = {MUGE: ("query_id", "query_text", "item_ids"), CN_CLIP: ("text_id", "text", "image_ids")}


class SplitFilesWriter:
    """Writes an image file and a query file for each split.

    cn_clip's own programs read integer ids only. For them other ids are replaced by numbers, which
    `{split}_image_ids.tsv` and `{split}_text_ids.tsv` map to the ids.
    """

    def __init__(self, folder: Path, notes: ConversionNotes, naming: SplitNaming) -> None:
        self._folder, self._notes, self._naming = folder, notes, naming
        self._next_number = {"image": 0, "text": 0}
        self._file: TextIO | None = None

    def begin(self, split: SourceSplit) -> None:
        self._split = split
        self._image_numbers: dict[str, ItemId] = {}
        if self._naming is CN_CLIP and not split.integers:
            self._image_numbers = self._number_ids("image", split.item_ids)
        path = self._naming.image_path(self._folder, split.name)
        self._file = path.open("w", encoding="utf-8", newline="\n") if split.item_ids else None

    def add(self, item_id: str, data: bytes) -> None:
        assert self._file is not None
        written_id = self._image_numbers.get(item_id, item_id)
        self._file.write(f"{written_id}\t{b64encode(data).decode()}\n")

    def end(self) -> None:
        """Close the image file and write the query file."""
        self.close()
        queries = self._split.queries
        if queries is None:
            return
        text_numbers: dict[str, ItemId] = {}
        ids = [str(query.query_id) for query in queries]
        if self._naming is CN_CLIP and not all(map(is_canonical_integer, ids)):
            text_numbers = self._number_ids("text", ids)
        path = self._naming.query_path(self._folder, self._split.name)
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for query in queries:
                file.write(json.dumps(self._row(query, text_numbers), ensure_ascii=False) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _row(self, query: DatasetQuery, text_numbers: dict[str, ItemId]) -> dict[str, object]:
        id_field, text_field, items_field = _FIELDS[self._naming]
        row: dict[str, object] = {
            id_field: text_numbers.get(str(query.query_id), query.query_id),
            text_field: query.text,
        }
        if query.item_ids is not None or self._naming is CN_CLIP:  # cn_clip requires the field
            row[items_field] = [self._json_id(item_id) for item_id in query.item_ids or ()]
        return row

    def _json_id(self, item_id: ItemId) -> ItemId:
        if str(item_id) in self._image_numbers:
            return self._image_numbers[str(item_id)]
        return int(item_id) if self._split.integers and _is_integer(item_id) else item_id

    def _number_ids(self, kind: str, ids: Iterable[str]) -> dict[str, ItemId]:
        first = self._next_number[kind]
        numbers: dict[str, ItemId] = {item_id: n for n, item_id in enumerate(ids, start=first)}
        self._next_number[kind] = first + len(numbers)
        path = self._folder / f"{self._split.name}_{kind}_ids.tsv"
        lines = (f"{number}\t{item_id}\n" for item_id, number in numbers.items())
        path.write_text("".join(lines), encoding="utf-8")
        note = f"{kind} ids of {self._split.name} were replaced by numbers: see {path.name}"
        self._notes.add_count(len(numbers), note)
        return numbers


def _is_integer(item_id: ItemId) -> bool:
    return isinstance(item_id, int) or is_canonical_integer(item_id)


def open_muge_writer(folder: Path, notes: ConversionNotes) -> SplitFilesWriter:
    """Return a writer of files with MUGE's names."""
    return SplitFilesWriter(folder, notes, MUGE)


def open_cn_clip_writer(folder: Path, notes: ConversionNotes) -> SplitFilesWriter:
    """Return a writer of files with cn_clip's names."""
    return SplitFilesWriter(folder, notes, CN_CLIP)
