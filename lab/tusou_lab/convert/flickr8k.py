"""Writes Flickr8k: `images/`, `captions.json`, and a list of file names for each split."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tusou.data.base import ONLY_SPLIT
from tusou_lab.convert.names import ImageFolderWriter
from tusou_lab.convert.split import SourceSplit

_SPLIT_NAMES = {"valid": "dev", "val": "dev"}


def write_flickr8k(folder: Path, splits: Iterable[SourceSplit], notes: Counter[str]) -> None:
    """Write all splits into one folder of images and one caption file."""
    images = ImageFolderWriter(folder / "images", "Flickr8k has one folder for all splits")
    separator = "[\n"
    with (folder / "captions.json").open("w", encoding="utf-8", newline="\n") as file:
        for split in splits:
            captions, names = split.captions(notes), list[str]()
            for item_id, data in split.images:
                name = images.add(item_id, data)
                names.append(name)
                row = split.describe_image(item_id, captions)
                if row["item_id"] == name:
                    del row["item_id"]
                file.write(separator + json.dumps({"image": name} | row, ensure_ascii=False))
                separator = ",\n"
            if split.name != ONLY_SPLIT:
                list_name = f"Flickr_8k.{_SPLIT_NAMES.get(split.name, split.name)}Images.txt"
                lines = "".join(f"{name}\n" for name in names)
                (folder / list_name).write_text(lines, encoding="utf-8")
        file.write("\n]\n" if separator == ",\n" else "[]\n")
