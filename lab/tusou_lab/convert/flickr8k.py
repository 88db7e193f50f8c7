"""Writes Flickr8k: `images/`, `captions.json`, and a list of names for each split."""

import json
from pathlib import Path

from tusou.data.base import ONLY_SPLIT
from tusou_lab.convert.names import Images, captions_of, described
from tusou_lab.convert.writers import Notes, Split

_CALLED = {"valid": "dev", "val": "dev"}


class Flickr8kWriter:
    """All splits share one folder and one caption file."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        self._folder, self._notes = folder, notes
        self._images = Images(folder / "images", "Flickr8k has one folder for all splits")
        self._captions = (folder / "captions.json").open("w", encoding="utf-8", newline="\n")
        self._between = "[\n"

    def begin(self, split: Split) -> None:
        """Sort the texts by their images."""
        self._split, self._names = split, list[str]()
        self._texts = captions_of(split, self._notes)

    def add(self, item_id: str, data: bytes) -> None:
        """Write an image and its captions."""
        name = self._images.add(item_id, data)
        self._names.append(name)
        row = described(self._split.typed(item_id), self._texts.get(item_id, []))
        if row["item_id"] == name:
            del row["item_id"]
        self._captions.write(self._between + json.dumps({"image": name} | row, ensure_ascii=False))
        self._between = ",\n"

    def end(self) -> None:
        """List the split's names."""
        if self._split.name != ONLY_SPLIT:
            called = _CALLED.get(self._split.name, self._split.name)
            path = self._folder / f"Flickr_8k.{called}Images.txt"
            path.write_text("".join(f"{name}\n" for name in self._names), encoding="utf-8")

    def close(self) -> None:
        """End the caption file."""
        self._captions.write("\n]\n" if self._between == ",\n" else "[]\n")
        self._captions.close()
