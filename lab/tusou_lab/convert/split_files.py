"""Writes MUGE's and cn_clip's folders: base64 in a TSV, queries in JSON lines."""

import json
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from tusou.bundle.item_ids import is_canonical_integer
from tusou.core.ids import ItemId
from tusou.data import DatasetQuery
from tusou.data.formats.split_files import CN_CLIP, MUGE, SplitNaming
from tusou_lab.convert.writers import Notes, Split

_FIELDS = {MUGE: ("query_id", "query_text", "item_ids"), CN_CLIP: ("text_id", "text", "image_ids")}


class PairedWriter:
    """An image file and a query file for each split.

    cn_clip's own programs read whole numbers alone: for them, other ids are numbered, and
    `{split}_image_ids.tsv` and `{split}_text_ids.tsv` say which number is which.
    """

    def __init__(self, folder: Path, notes: Notes, naming: SplitNaming) -> None:
        self._folder, self._notes, self._naming = folder, notes, naming
        self._next = {"image": 0, "text": 0}
        self._file: TextIO | None = None

    def begin(self, split: Split) -> None:
        """Open the image file, and number the ids where it takes that."""
        self._split = split
        self._images: dict[str, ItemId] = {}
        if self._naming is CN_CLIP and not split.integers:
            self._images = self._numbered("image", split.item_ids)
        path = self._naming.image_path(self._folder, split.name)
        self._file = path.open("w", encoding="utf-8", newline="\n") if split.item_ids else None

    def add(self, item_id: str, data: bytes) -> None:
        """Write a line."""
        assert self._file is not None
        self._file.write(f"{self._images.get(item_id, item_id)}\t{b64encode(data).decode()}\n")

    def end(self) -> None:
        """Close the image file and write the queries."""
        self.close()
        queries = self._split.queries
        if queries is None:
            return
        texts: dict[str, ItemId] = {}
        ids = [str(query.query_id) for query in queries]
        if self._naming is CN_CLIP and not all(map(is_canonical_integer, ids)):
            texts = self._numbered("text", ids)
        path = self._naming.query_path(self._folder, self._split.name)
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for query in queries:
                file.write(json.dumps(self._row(query, texts), ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the image file."""
        if self._file is not None:
            self._file.close()

    def _row(self, query: DatasetQuery, texts: dict[str, ItemId]) -> dict[str, object]:
        query_id, text, item_ids = _FIELDS[self._naming]
        row: dict[str, object] = {
            query_id: texts.get(str(query.query_id), query.query_id),
            text: query.text,
        }
        if query.item_ids is not None or self._naming is CN_CLIP:  # which wants the key in any case
            row[item_ids] = [self._answer(item_id) for item_id in query.item_ids or ()]
        return row

    def _answer(self, item_id: ItemId) -> ItemId:
        if str(item_id) in self._images:
            return self._images[str(item_id)]
        return int(item_id) if self._split.integers and _is_number(item_id) else item_id

    def _numbered(self, kind: str, ids: Iterable[str]) -> dict[str, ItemId]:
        start = self._next[kind]
        numbers: dict[str, ItemId] = {one: start + place for place, one in enumerate(ids)}
        self._next[kind] = start + len(numbers)
        path = self._folder / f"{self._split.name}_{kind}_ids.tsv"
        path.write_text("".join(f"{numbers[one]}\t{one}\n" for one in numbers), encoding="utf-8")
        said = f"{kind} ids of {self._split.name} are numbered: {path.name} says which is which"
        self._notes.count(len(numbers), said)
        return numbers


def _is_number(item_id: ItemId) -> bool:
    return isinstance(item_id, int) or is_canonical_integer(item_id)


def muge(folder: Path, notes: Notes) -> PairedWriter:
    """Write files with MUGE's names."""
    return PairedWriter(folder, notes, MUGE)


def cn_clip(folder: Path, notes: Notes) -> PairedWriter:
    """Write files with cn_clip's names."""
    return PairedWriter(folder, notes, CN_CLIP)
