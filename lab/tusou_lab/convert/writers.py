"""What a format's writer does, and which there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from tusou.core.ids import ItemId
from tusou.core.lazy_import import LazyImport
from tusou.data import DatasetQuery


@dataclass(frozen=True, slots=True)
class Split:
    """A split to write: the ids of its images, whether all are whole numbers, and its queries."""

    name: str
    item_ids: Sequence[str]
    integers: bool
    queries: Sequence[DatasetQuery] | None  # None where the source has none

    def typed(self, item_id: str) -> ItemId:
        """Give an id as JSON has it."""
        return int(item_id) if self.integers else item_id


@dataclass(slots=True)
class Notes:
    """What a format could not hold, in sentences."""

    said: list[str] = field(default_factory=list)

    def count(self, number: int, what: str) -> None:
        """Say how many there were of something, if any."""
        if number:
            self.said.append(f"{number} {what}")


class Writer(Protocol):
    """Writes splits one after another into an empty folder."""

    def begin(self, split: Split) -> None:
        """Start a split."""
        ...

    def add(self, item_id: str, data: bytes) -> None:
        """Write the next image of the split, as its bytes are."""
        ...

    def end(self) -> None:
        """Finish the split: all its images are there."""
        ...

    def close(self) -> None:
        """Finish the dataset."""
        ...


WRITERS = {
    "muge": LazyImport("tusou_lab.convert.split_files:muge"),
    "cnclip": LazyImport("tusou_lab.convert.split_files:cn_clip"),
    "flickr8k": LazyImport("tusou_lab.convert.flickr8k:Flickr8kWriter"),
    "teddy": LazyImport("tusou_lab.convert.teddycup:TeddyWriter"),
    "folder": LazyImport("tusou_lab.convert.folder:FolderWriter"),
    "webdataset": LazyImport("tusou_lab.convert.webdataset:WebDatasetWriter"),
}


def open_writer(name: str, folder: Path, notes: Notes) -> Writer:
    """Make a writer of the format into a folder."""
    make = cast("Callable[[Path, Notes], Writer]", WRITERS[name].load())
    return make(folder, notes)
