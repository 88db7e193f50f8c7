"""Writes MUGE's and cn_clip's folders: base64 images in a TSV, queries in JSON lines."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path

from tusou.bundle.item_ids import is_canonical_integer
from tusou.core.ids import ItemId
from tusou.data import DatasetQuery
from tusou.data.formats.split_files import CN_CLIP, MUGE, SplitNaming
from tusou_lab.convert.split import SourceSplit

_FIELDS = {MUGE: ("query_id", "query_text", "item_ids"), CN_CLIP: ("text_id", "text", "image_ids")}


def write_split_files(
    folder: Path, splits: Iterable[SourceSplit], notes: Counter[str], naming: SplitNaming
) -> None:
    """Write an image file and a query file for each split.

    cn_clip's own programs read integer ids only. For them other ids are replaced by numbers, which
    `{split}_image_ids.tsv` and `{split}_text_ids.tsv` map to the ids.
    """
    counters = {"image": count(), "text": count()}
    for split in splits:
        numbers: dict[str, dict[str, ItemId]] = {"image": {}, "text": {}}
        query_ids = [str(query.query_id) for query in split.queries or ()]
        for kind, ids in (("image", split.item_ids), ("text", query_ids)):
            if naming is CN_CLIP and not all(map(is_canonical_integer, ids)):
                numbers[kind] = dict(zip(dict.fromkeys(ids), counters[kind], strict=False))
                path = folder / f"{split.name}_{kind}_ids.tsv"
                lines = (f"{number}\t{item_id}\n" for item_id, number in numbers[kind].items())
                path.write_text("".join(lines), encoding="utf-8")
                note = f"{kind} ids of {split.name} were replaced by numbers: see {path.name}"
                notes[note] += len(numbers[kind])
        if split.item_ids:
            path = naming.image_path(folder, split.name)
            with path.open("w", encoding="utf-8", newline="\n") as file:
                for item_id, data in split.images:
                    written_id = numbers["image"].get(item_id, item_id)
                    file.write(f"{written_id}\t{b64encode(data).decode()}\n")
        if split.queries is not None:
            path = naming.query_path(folder, split.name)
            with path.open("w", encoding="utf-8", newline="\n") as file:
                for query in split.queries:
                    row = _query_row(query, naming, numbers, integers=split.integers)
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _query_row(
    query: DatasetQuery,
    naming: SplitNaming,
    numbers: Mapping[str, Mapping[str, ItemId]],
    *,
    integers: bool,
) -> dict[str, object]:
    def json_id(item_id: ItemId) -> ItemId:
        if str(item_id) in numbers["image"]:
            return numbers["image"][str(item_id)]
        return int(item_id) if integers and is_canonical_integer(str(item_id)) else item_id

    id_field, text_field, items_field = _FIELDS[naming]
    query_id = numbers["text"].get(str(query.query_id), query.query_id)
    row: dict[str, object] = {id_field: query_id, text_field: query.text}
    if query.item_ids is not None or naming is CN_CLIP:  # cn_clip requires the field
        row[items_field] = [json_id(item_id) for item_id in query.item_ids or ()]
    return row
