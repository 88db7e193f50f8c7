"""Writes MUGE's and cn_clip's folders: base64 images in a TSV, queries in JSON lines."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path

from tusou.core.ids import ItemId, is_canonical_integer
from tusou.data import DatasetQuery
from tusou.data.formats.split_files import CN_CLIP, MUGE, SplitNaming
from tusou_lab.convert.split import SourceSplit

_FIELDS = {MUGE: ("query_id", "query_text", "item_ids"), CN_CLIP: ("text_id", "text", "image_ids")}


def write_split_files(
    folder: Path, splits: Iterable[SourceSplit], notes: Counter[str], naming: SplitNaming
) -> None:
    """Write an image file and a query file for each split; the ids of each kind have one type.

    cn_clip's own programs read integer ids only. For them other ids are replaced by numbers, which
    `{split}_image_ids.tsv` and `{split}_text_ids.tsv` map to the ids.
    """
    image_numbers, text_numbers = count(), count()
    for split in splits:
        correct = [item for query in split.queries or () for item in query.item_ids or ()]
        # In MUGE's files the pool decides the type; numbers replace all ids, in the pool or not.
        all_ids = [*split.item_ids, *([] if naming is MUGE and split.item_ids else correct)]
        image_ids = _IdWriter(all_ids)
        text_ids = _IdWriter(query.query_id for query in split.queries or ())
        if naming is CN_CLIP:
            image_ids.number(folder / f"{split.name}_image_ids.tsv", image_numbers, notes)
            text_ids.number(folder / f"{split.name}_text_ids.tsv", text_numbers, notes)
        if split.item_ids:
            path = naming.image_path(folder, split.name)
            with path.open("w", encoding="utf-8", newline="\n") as file:
                for item_id, data in split.images:
                    file.write(f"{image_ids.write(item_id)}\t{b64encode(data).decode()}\n")
        if split.queries is not None:
            path = naming.query_path(folder, split.name)
            with path.open("w", encoding="utf-8", newline="\n") as file:
                for query in split.queries:
                    row = _query_row(query, naming, image_ids, text_ids)
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
            unwritable = sum(not image_ids.can_write(item_id) for item_id in correct)
            notes[f"correct items of {split.name} were left out: the pool has integer ids"] += (
                unwritable
            )


class _IdWriter:
    """Writes all ids of one kind in one type: integers if all of them are, else strings."""

    def __init__(self, ids: Iterable[ItemId]) -> None:
        self._ids = dict.fromkeys(map(str, ids))
        self._integers = all(map(is_canonical_integer, self._ids))
        self._numbers: Mapping[str, int] = {}

    def number(self, path: Path, numbers: Iterator[int], notes: Counter[str]) -> None:
        """Replace the ids by numbers unless all are integers, and write the mapping to `path`."""
        if not self._integers:
            self._numbers = dict(zip(self._ids, numbers, strict=False))
            lines = (f"{number}\t{item_id}\n" for item_id, number in self._numbers.items())
            path.write_text("".join(lines), encoding="utf-8")
            notes[f"ids were replaced by numbers: see {path.name}"] += len(self._numbers)

    def can_write(self, item_id: ItemId) -> bool:
        """Return whether an id can have the type of all others."""
        return not self._integers or is_canonical_integer(str(item_id))

    def write(self, item_id: ItemId) -> ItemId:
        """Return the id to write."""
        if self._integers:
            return int(item_id)
        return self._numbers.get(str(item_id), str(item_id))


def _query_row(
    query: DatasetQuery, naming: SplitNaming, image_ids: _IdWriter, text_ids: _IdWriter
) -> dict[str, object]:
    id_field, text_field, items_field = _FIELDS[naming]
    row: dict[str, object] = {id_field: text_ids.write(query.query_id), text_field: query.text}
    if query.item_ids is not None or naming is CN_CLIP:  # cn_clip requires the field
        correct = filter(image_ids.can_write, query.item_ids or ())
        row[items_field] = [image_ids.write(item_id) for item_id in correct]
    return row
