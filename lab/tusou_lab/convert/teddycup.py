"""Writes Teddy Cup's tables: pairs with captions, or images and texts without correct items."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.data.formats.teddycup import IMAGES, TEXT_TO_IMAGE, TRAIN
from tusou_lab.convert.names import ImageFolderWriter
from tusou_lab.convert.split import SourceSplit


def write_teddycup(folder: Path, splits: Iterable[SourceSplit], notes: Counter[str]) -> None:
    """Write one split with correct items as `train`, without captionless images; one as `t2i`."""
    images = ImageFolderWriter(folder / IMAGES, "Teddy Cup has one folder for all images")
    for split in splits:
        judged = any(query.item_ids for query in split.queries or ())
        task = TRAIN if judged else TEXT_TO_IMAGE
        if (folder / task.images).exists():
            raise BadDataset(
                f"{split.name} is a second split {'with' if judged else 'without'} answers, but "
                "Teddy Cup's tables hold one: name the split to convert after a #"
            )
        captions = split.captions(notes) if judged else {}
        names = {
            item_id: images.add(item_id, data)
            for item_id, data in split.images
            if not judged or item_id in captions
        }
        if judged:
            omitted = len(split.item_ids) - len(names)
            notes["images without a caption were left out, since the table lists captions"] += (
                omitted
            )
            pairs = (
                (name, text, str(text_id))
                for item_id, name in names.items()
                for text_id, text in captions[item_id]
            )
            write_table(folder / task.images, ("image_id", "caption", "text_id"), pairs)
        else:
            write_table(folder / task.images, ("image_id",), ((name,) for name in names.values()))
            texts = ((str(query.query_id), query.text) for query in split.queries or ())
            write_table(folder / task.texts, ("text_id", "caption"), texts)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
