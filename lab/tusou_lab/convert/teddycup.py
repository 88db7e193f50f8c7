"""Writes Teddy Cup's tables: pairs with captions, or images and texts without correct items."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.data.formats.teddycup import IMAGES, TEXT_TO_IMAGE, TRAIN
from tusou_lab.convert.names import ImageFolderWriter, group_captions
from tusou_lab.convert.writers import ConversionNotes, SourceSplit


class TeddyCupWriter:
    """Writes one split with correct items as `train`, and one without as `t2i`."""

    def __init__(self, folder: Path, notes: ConversionNotes) -> None:
        self._folder, self._notes = folder, notes
        self._images = ImageFolderWriter(folder / IMAGES, "Teddy Cup has one folder for all images")

    def begin(self, split: SourceSplit) -> None:
        judged = any(query.item_ids for query in split.queries or ())
        self._split, self._task = split, TRAIN if judged else TEXT_TO_IMAGE
        if (self._folder / self._task.images).exists():
            raise BadDataset(
                f"{split.name} is a second split {'with' if judged else 'without'} answers, but "
                "Teddy Cup's tables hold one: name the split to convert after a #"
            )
        self._names: dict[str, str] = {}
        self._captions = group_captions(split, self._notes) if judged else {}

    def add(self, item_id: str, data: bytes) -> None:
        """Write an image, unless it is in `train` and has no caption."""
        if self._task is TEXT_TO_IMAGE or item_id in self._captions:
            self._names[item_id] = self._images.add(item_id, data)

    def end(self) -> None:
        """Write the tables."""
        if self._task is TRAIN:
            omitted = len(self._split.item_ids) - len(self._names)
            note = "images without a caption were left out, since the table lists captions"
            self._notes.add_count(omitted, note)
            self._write_table(TRAIN.images, ("image_id", "caption", "text_id"), self._pairs())
            return
        names = [(name,) for name in self._names.values()]
        self._write_table(TEXT_TO_IMAGE.images, ("image_id",), names)
        texts = [(str(query.query_id), query.text) for query in self._split.queries or ()]
        self._write_table(TEXT_TO_IMAGE.texts, ("text_id", "caption"), texts)

    def close(self) -> None:
        """Do nothing: every split is complete."""

    def _pairs(self) -> Iterable[Sequence[str]]:
        for item_id, name in self._names.items():
            for text_id, text in self._captions[item_id]:
                yield name, text, str(text_id)

    def _write_table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        with (self._folder / name).open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(header)
            table.writerows(rows)
