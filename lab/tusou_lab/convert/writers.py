"""The protocol of dataset writers, and the writer of each format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from tusou.core.ids import ItemId
from tusou.core.lazy_import import LazyImport
from tusou.data import DatasetQuery


@dataclass(frozen=True, slots=True)
class SourceSplit:
    """A split to write: the ids of its images, and its queries."""

    name: str
    item_ids: Sequence[str]
    integers: bool  # all item ids are canonical integers
    queries: Sequence[DatasetQuery] | None  # None if the source has no queries

    def json_id(self, item_id: str) -> ItemId:
        """Return an item id as it is written in JSON."""
        return int(item_id) if self.integers else item_id


@dataclass(slots=True)
class ConversionNotes:
    """Sentences about what the target format cannot hold."""

    sentences: list[str] = field(default_factory=list)

    def add_count(self, count: int, text: str) -> None:
        """Add "COUNT TEXT" unless the count is 0."""
        if count:
            self.sentences.append(f"{count} {text}")


class DatasetWriter(Protocol):
    """Writes one split after another into an empty folder."""

    def begin(self, split: SourceSplit) -> None:
        """Start a split."""
        ...

    def add(self, item_id: str, data: bytes) -> None:
        """Write the next image of the split, with its bytes unchanged."""
        ...

    def end(self) -> None:
        """Finish the split, after its last image."""
        ...

    def close(self) -> None:
        """Finish the dataset; also called after an error."""
        ...


WRITERS = {
    "muge": LazyImport("tusou_lab.convert.split_files:open_muge_writer"),
    "cnclip": LazyImport("tusou_lab.convert.split_files:open_cn_clip_writer"),
    "flickr8k": LazyImport("tusou_lab.convert.flickr8k:Flickr8kWriter"),
    "teddy": LazyImport("tusou_lab.convert.teddycup:TeddyCupWriter"),
    "folder": LazyImport("tusou_lab.convert.folder:FolderWriter"),
    "webdataset": LazyImport("tusou_lab.convert.webdataset:WebDatasetWriter"),
}


def open_writer(name: str, folder: Path, notes: ConversionNotes) -> DatasetWriter:
    """Return a writer of the format into an empty folder."""
    make = cast("Callable[[Path, ConversionNotes], DatasetWriter]", WRITERS[name].load())
    return make(folder, notes)
