"""Readers of the formats product pools and their queries come in; a format is found by looking."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from tusou.core.errors import BadDataset
from tusou.core.lazy_import import LazyImport
from tusou.data.base import DatasetQuery, ImageQuery, ItemPool, ItemRow, MissingPart
from tusou.data.dataset import Dataset, DatasetReader

__all__ = [
    "Dataset",
    "DatasetQuery",
    "ImageQuery",
    "ItemPool",
    "ItemRow",
    "MissingPart",
    "open_dataset",
    "open_pool",
    "open_queries",
    "split_place",
]


class _Format(Protocol):
    """A reader's class, which knows its format when it sees it."""

    def find(self, place: Path) -> DatasetReader | None: ...


# The first that knows a place has it, so what could be taken for another stands before it.
_FORMATS = {
    "MUGE's MR_*_imgs.tsv or cn_clip's *_imgs.tsv": LazyImport(
        "tusou.data.formats.split_files:SplitFileReader"
    ),
    "Flickr8k's captions beside a folder of images": LazyImport(
        "tusou.data.formats.flickr8k:Flickr8k"
    ),
    "Teddy Cup's tables": LazyImport("tusou.data.formats.teddycup:TeddyCup"),
    "WebDataset tars": LazyImport("tusou.data.formats.webdataset:WebDataset"),
    "a query file (.jsonl)": LazyImport("tusou.data.formats.single_file:SingleQueryFile"),
    "an image file (item_id<TAB>base64 lines)": LazyImport(
        "tusou.data.formats.single_file:SingleImageFile"
    ),
    "a folder of images": LazyImport("tusou.data.formats.folder:ImageFolders"),
}


# A file of items that are texts; its reader needs what clients do not have.
TEXT_ENDINGS = (".jsonl", ".ndjson")
_TEXTS = LazyImport("tusou.data.formats.text_items:open_text_file")


def split_place(place: str) -> tuple[Path, str | None]:
    """Take `path#split` apart; a path that is there may have a `#` of its own."""
    path, mark, split = place.rpartition("#")
    if not mark or Path(place).exists():
        return Path(place), None
    return Path(path), split


def open_dataset(place: str) -> Dataset:
    """Open what lies at `path` or `path#split`, whatever its format; nothing of it is read yet.

    Raises BadDataset when nothing is there, nothing that is known, or not that split.
    """
    path, split = split_place(place)
    if not path.exists():
        raise BadDataset(f"{path} is not there; give a file or folder of data")
    for lazy in _FORMATS.values():
        reader = cast("_Format", lazy.load()).find(path)
        if reader is not None:
            dataset = Dataset(path, reader, split)
            dataset.splits()
            return dataset
    raise BadDataset(f"{path}: looked for {'; '.join(_FORMATS)}; found none of these")


def open_pool(place: str) -> ItemPool:
    """Open the items at a place, whatever format they are in; nothing of them is read yet.

    They are the images of a dataset, or the texts of a file that holds nothing else.
    """
    path = Path(place)
    if path.suffix.lower() in TEXT_ENDINGS and path.is_file():
        return cast("Callable[[Path], ItemPool]", _TEXTS.load())(path)
    return open_dataset(place).images()


def open_queries(place: str) -> list[DatasetQuery]:
    """Read the queries at a place; BadDataset lists every line that cannot be used."""
    return open_dataset(place).queries()
