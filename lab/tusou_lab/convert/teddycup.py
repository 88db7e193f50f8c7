"""Writes Teddy Cup's tables: pairs with their captions, or images and texts without answers."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.data.formats.teddycup import IMAGES, TEXT_TO_IMAGE, TRAIN
from tusou_lab.convert.names import Images, captions_of
from tusou_lab.convert.writers import Notes, Split


class TeddyWriter:
    """One split with answers becomes `train`, one without becomes `t2i`."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        self._folder, self._notes = folder, notes
        self._images = Images(folder / IMAGES, "Teddy Cup has one folder for all images")

    def begin(self, split: Split) -> None:
        """Find out which of the two it is."""
        answered = any(query.item_ids for query in split.queries or ())
        self._split, self._task = split, TRAIN if answered else TEXT_TO_IMAGE
        if (self._folder / self._task.images).exists():
            raise BadDataset(
                f"{split.name} is a second split {'with' if answered else 'without'} answers, and "
                "Teddy Cup's tables hold one: name the split to convert after a #"
            )
        self._names: dict[str, str] = {}
        self._texts = captions_of(split, self._notes) if answered else {}

    def add(self, item_id: str, data: bytes) -> None:
        """Write an image, unless no caption would name it."""
        if self._task is TEXT_TO_IMAGE or item_id in self._texts:
            self._names[item_id] = self._images.add(item_id, data)

    def end(self) -> None:
        """Write the tables."""
        if self._task is TRAIN:
            lost = len(self._split.item_ids) - len(self._names)
            self._notes.count(lost, "images without a caption were left out: no table names them")
            self._table(TRAIN.images, ("image_id", "caption", "text_id"), self._pairs())
            return
        names = [(name,) for name in self._names.values()]
        self._table(TEXT_TO_IMAGE.images, ("image_id",), names)
        texts = [(str(query.query_id), query.text) for query in self._split.queries or ()]
        self._table(TEXT_TO_IMAGE.texts, ("text_id", "caption"), texts)

    def close(self) -> None:
        """Have nothing left to do."""

    def _pairs(self) -> Iterable[Sequence[str]]:
        for item_id, name in self._names.items():
            for text_id, text in self._texts[item_id]:
                yield name, text, str(text_id)

    def _table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        with (self._folder / name).open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(header)
            table.writerows(rows)
