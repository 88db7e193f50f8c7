"""Writes a folder of images, or one folder for each of several splits."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tusou.core.errors import BadDataset
from tusou.data.base import ONLY_SPLIT
from tusou.images.formats import IMAGE_SUFFIXES
from tusou_lab.convert.names import escape_id, file_ending
from tusou_lab.convert.split import SourceSplit


def write_folder(folder: Path, splits: Iterable[SourceSplit], notes: Counter[str]) -> None:
    """Write each image into a file named after its id; slashes in ids make subfolders.

    Raises BadDataset when two images would have the same file name.
    """
    for split in splits:
        target = folder if split.name == ONLY_SPLIT else folder / split.name
        target.mkdir(exist_ok=True)
        note = f"queries of {split.name} were left out: a folder holds images only"
        notes[note] += len(split.queries or ())
        for item_id, data in split.images:
            name = "/".join(escape_id(part) or "%" for part in item_id.split("/"))
            if PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES:
                name += file_ending(data)
            path = target / name
            if path.exists():
                raise BadDataset(f"two images of the source would both be called {name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
