"""Datasets of products and queries in many formats, each detected from its files."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from tusou.core.errors import BadDataset
from tusou.core.lazy_import import LazyImport
from tusou.data.base import (
    DatasetQuery,
    DatasetReader,
    ImageQuery,
    ItemPool,
    ItemRow,
    MissingPart,
)
from tusou.data.dataset import Dataset

__all__ = [
    "Dataset",
    "DatasetQuery",
    "ImageQuery",
    "ItemPool",
    "ItemRow",
    "MissingPart",
    "may_be_dataset",
    "open_dataset",
    "open_pool",
    "split_source",
]


_SPLIT_FILES = {"MUGE's MR_*_imgs.tsv or cn_clip's *_imgs.tsv": "split_files:SplitFileReader"}
# Published datasets, known by the names of their files. A folder holds one of them.
_PUBLISHED = {
    "COCO-CN's captions": "coco_cn:CocoCn",
    "Flickr30k-CN's folders of TextData": "flickr30k_cn:Flickr30kCn",
    "Flickr30k-CNA's texts": "flickr30k_cn:Flickr30kCna",
    "Zero's pairs": "zero:Zero",
    "Wukong's tables": "wukong:Wukong",
    "TaiSu's tars and captions": "taisu:TaiSu",
}
# Beginnings of the names in a folder of a published dataset. A folder of a million images is listed
# once for them, not once for each format.
_PUBLISHED_NAMES = re.compile(
    r"imageid\.|coco-cn|TextData$|flickr\d+k|(train|val|test)$|I[CQ][MR]$|(long|short)_it[mr]_"
    r"|wukong_|baidu_images"
)
# Tried in order: more specific formats first.
_OTHERS = {
    "Flickr8k's captions beside a folder of images": "flickr8k:Flickr8k",
    "Teddy Cup's tables": "teddycup:TeddyCup",
    "WebDataset tars": "webdataset:WebDataset",
    "a query file (.jsonl)": "single_file:SingleQueryFile",
    "an image file (item_id<TAB>base64 lines)": "single_file:SingleImageFile",
    "a folder of images": "folder:ImageFolders",
}


# Suffixes of files whose items are texts. Their reader needs numpy, which clients do not have.
_TEXT_ENDINGS = (".jsonl", ".ndjson")
_TEXT_FILE = LazyImport("tusou.data.formats.text_items:open_text_file")


def split_source(source: str) -> tuple[Path, str | None]:
    """Return the path and the split of `path#split`; an existing path may contain a `#`."""
    path, mark, split = source.rpartition("#")
    if not mark or Path(source).exists():
        return Path(source), None
    return Path(path), split


def may_be_dataset(path: Path) -> bool:
    """Return whether a path may be a dataset (captions, a tar) and not a file of queries."""
    dataset_file = path.suffix in {".json", ".tar", ".txt"} or path.name == "wukong_test.csv"
    return not path.is_file() or dataset_file


def open_dataset(source: str) -> Dataset:
    """Open the dataset at `path` or `path#split`, detecting its format; reads no rows yet.

    Raises BadDataset when the path, a known format or the split does not exist.
    """
    path, split = split_source(source)
    if not path.exists():
        raise BadDataset(f"{path} does not exist; give a file or folder of data")
    if not path.is_file() and not path.is_dir():
        raise BadDataset(f"{path} is a FIFO, socket or device; write it to a file first")
    reader = _find_reader(path)
    if reader is None:
        formats = "; ".join(_SPLIT_FILES | _PUBLISHED | _OTHERS)
        raise BadDataset(f"{path}: no known format; looked for {formats}")
    dataset = Dataset(path, reader, split)
    dataset.splits()
    return dataset


def _find_reader(path: Path) -> DatasetReader | None:
    """Return the reader of a path; BadDataset for a folder that holds two published datasets."""
    if readers := list(_try_formats(path, _SPLIT_FILES)):
        return readers[0][1]
    published: list[tuple[str, DatasetReader]] = []
    if path.is_file() or _may_be_published(path):
        published = list(_try_formats(path, _PUBLISHED))
    if len(published) > 1:
        names = " and ".join(name for name, _ in published)
        raise BadDataset(f"{path} holds {names}; give the folder or a file of one of them")
    return next((reader for _, reader in (published or _try_formats(path, _OTHERS))), None)


def _may_be_published(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(_PUBLISHED_NAMES.match(entry.name) for entry in entries)


def _try_formats(path: Path, formats: Mapping[str, str]) -> Iterator[tuple[str, DatasetReader]]:
    """Yield the name and the reader of each format, in order, that a path has."""
    for name, target in formats.items():
        # The class of each is in tusou.data.formats.
        reader_type = LazyImport(f"tusou.data.formats.{target}").load()
        if (reader := cast("type[DatasetReader]", reader_type).find(path)) is not None:
            yield name, reader


def open_pool(source: str) -> ItemPool:
    """Open the items at a path: the images of a dataset, or the texts of a text file.

    Reads no rows yet. Raises BadDataset as `open_dataset` does.
    """
    path = Path(source)
    if path.suffix.lower() in _TEXT_ENDINGS and path.is_file():
        return cast("Callable[[Path], ItemPool]", _TEXT_FILE.load())(path)
    return open_dataset(source).images()
