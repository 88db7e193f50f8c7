"""Writes a folder of images, or one folder for each of several splits."""

from pathlib import Path, PurePosixPath

from tusou.core.errors import BadDataset
from tusou.data.base import ONLY_SPLIT
from tusou.data.formats.folder import ENDINGS
from tusou_lab.convert.names import escape_id, file_ending
from tusou_lab.convert.writers import ConversionNotes, SourceSplit


class FolderWriter:
    """Writes each image into a file named after its id; slashes in ids make subfolders."""

    def __init__(self, folder: Path, notes: ConversionNotes) -> None:
        self._folder, self._notes = folder, notes

    def begin(self, split: SourceSplit) -> None:
        self._target = self._folder if split.name == ONLY_SPLIT else self._folder / split.name
        self._target.mkdir(exist_ok=True)
        note = f"queries of {split.name} were left out: a folder holds images only"
        self._notes.add_count(len(split.queries or ()), note)

    def add(self, item_id: str, data: bytes) -> None:
        """Write an image; BadDataset when another one has the same file name."""
        name = "/".join(escape_id(part) or "%" for part in item_id.split("/"))
        if PurePosixPath(name).suffix.lower() not in ENDINGS:
            name += file_ending(data)
        path = self._target / name
        if path.exists():
            raise BadDataset(f"two images of the source would both be called {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def end(self) -> None:
        """Do nothing: every image is written."""

    def close(self) -> None:
        """Do nothing: every image is written."""
