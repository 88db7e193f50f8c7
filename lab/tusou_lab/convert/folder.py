"""Writes a folder of images, one for each split where there are several."""

from pathlib import Path, PurePosixPath

from tusou.core.errors import BadDataset
from tusou.data.base import ONLY_SPLIT
from tusou.data.formats.folder import ENDINGS
from tusou_lab.convert.names import ending, escaped
from tusou_lab.convert.writers import Notes, Split


class FolderWriter:
    """Each image a file called after its id; an id with slashes lies in folders."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        self._folder, self._notes = folder, notes

    def begin(self, split: Split) -> None:
        """Make the split's folder."""
        self._to = self._folder if split.name == ONLY_SPLIT else self._folder / split.name
        self._to.mkdir(exist_ok=True)
        said = f"queries of {split.name} were left out: a folder holds images alone"
        self._notes.count(len(split.queries or ()), said)

    def add(self, item_id: str, data: bytes) -> None:
        """Write an image; BadDataset when another one has its name."""
        name = "/".join(escaped(part) or "%" for part in item_id.split("/"))
        if PurePosixPath(name).suffix.lower() not in ENDINGS:
            name += ending(data)
        path = self._to / name
        if path.exists():
            raise BadDataset(f"two images of the source would both be called {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def end(self) -> None:
        """Have nothing left to do."""

    def close(self) -> None:
        """Have nothing left to do."""
