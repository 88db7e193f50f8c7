"""Writes Flickr8k: `images/`, `captions.json`, and a list of file names for each split."""

import json
from pathlib import Path

from tusou.data.base import ONLY_SPLIT
from tusou_lab.convert.names import ImageFolderWriter, describe_image, group_captions
from tusou_lab.convert.writers import ConversionNotes, SourceSplit

_SPLIT_NAMES = {"valid": "dev", "val": "dev"}


class Flickr8kWriter:
    """Writes all splits into one folder of images and one caption file."""

    def __init__(self, folder: Path, notes: ConversionNotes) -> None:
        self._folder, self._notes = folder, notes
        self._images = ImageFolderWriter(
            folder / "images", "Flickr8k has one folder for all splits"
        )
        self._file = (folder / "captions.json").open("w", encoding="utf-8", newline="\n")
        self._separator = "[\n"

    def begin(self, split: SourceSplit) -> None:
        self._split, self._names = split, list[str]()
        self._captions = group_captions(split, self._notes)

    def add(self, item_id: str, data: bytes) -> None:
        name = self._images.add(item_id, data)
        self._names.append(name)
        row = describe_image(self._split.json_id(item_id), self._captions.get(item_id, []))
        if row["item_id"] == name:
            del row["item_id"]
        self._file.write(self._separator + json.dumps({"image": name} | row, ensure_ascii=False))
        self._separator = ",\n"

    def end(self) -> None:
        """Write the split's list of names."""
        if self._split.name != ONLY_SPLIT:
            name = _SPLIT_NAMES.get(self._split.name, self._split.name)
            path = self._folder / f"Flickr_8k.{name}Images.txt"
            path.write_text("".join(f"{image}\n" for image in self._names), encoding="utf-8")

    def close(self) -> None:
        self._file.write("\n]\n" if self._separator == ",\n" else "[]\n")
        self._file.close()
