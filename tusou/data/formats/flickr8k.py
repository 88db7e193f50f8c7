"""Flickr8k and its Chinese captions: a folder of images, a file of captions, lists of splits."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

from tusou.core.ids import Failure, ItemId
from tusou.data.base import ONLY_SPLIT, DatasetQuery, DatasetReader, ItemPool, sort_splits
from tusou.data.captions import Caption, caption_queries
from tusou.data.csv_reader import TableRow, read_table, read_text_lines
from tusou.data.formats.caption_json import CaptionJson, read_caption_json
from tusou.data.formats.caption_lines import is_table
from tusou.data.formats.image_folders import find_image_folder
from tusou.data.listed_images import ListedImage, ListedImages, list_folder, list_image

# In order of preference: Chinese captions before English ones.
_CAPTION_FILES = (
    re.compile(r"captions\.json"),
    re.compile(r"flickr8kzhc\.captions?\.txt"),
    re.compile(r"flickr8kzh\w+\.captions?\.txt"),
    re.compile(r"dataset_flickr8k\w*\.json"),
    re.compile(r"captions\.(txt|csv)"),
    re.compile(r"Flickr8k\.token\.txt"),
    re.compile(r"flickr8ken\w*\.captions?\.txt"),
)
_SPLIT_FILES = (
    re.compile(r"Flickr_8k\.(?P<split>\w+)Images\.txt"),
    re.compile(r"flickr8k(?P<split>train|val|test)\.txt"),
)
_ENDINGS = (".json", ".txt", ".csv")  # of all of these
_IMAGE_FOLDERS = {
    "images",
    "flicker8k_dataset",
    "flickr8k_dataset",
    "flickr8k_images",
    "flicker8k_images",
}


class Flickr8k(DatasetReader):
    """Captions of the images in a folder; an item's id is the file name of its image.

    Only files written by `tusou convert` have ids of their own.
    """

    def __init__(self, root: Path, captions: Path, images: Path) -> None:
        self._captions, self._images = captions, images
        self._lists = {
            match["split"]: path
            for path in _list_files(root)
            for pattern in _SPLIT_FILES
            if (match := pattern.fullmatch(path.name))
        }

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Open a folder that holds captions, or a caption file, beside a folder of images."""
        root = path.parent if path.is_file() else path
        files = [path] if path.is_file() else list(_list_files(root))
        captions = [
            file for pattern in _CAPTION_FILES for file in files if pattern.fullmatch(file.name)
        ]
        images = find_image_folder((root, root.parent), _IMAGE_FOLDERS)
        return cls(root, captions[0], images) if captions and images else None

    def splits(self) -> Sequence[str]:
        """Return the splits that have a list, or that the captions name, or `all`."""
        return sort_splits(self._lists or self._json_splits) or [ONLY_SPLIT]

    def describe(self) -> str:
        """Describe the files: the shape of the captions, and what divides them into splits."""
        shape = self._json.shape if self._json else _TEXT_SHAPES[_read_as_table(self._captions)]
        captions = [row for row in self._read_captions() if isinstance(row, Caption)]
        named = {self._complete_name(str(caption.item_id)) for caption in captions}
        counts = f"{len(captions):,} captions of {len(named):,} images"
        missing = len(named - self._names)
        absent = f", {missing:,} of which are not in {self._images.name}" if missing else ""
        splits = "lists of splits" if self._lists else "splits in the captions"
        divided = splits if self._lists or self._json_splits else "no splits"
        return f"{self._captions.name}: {shape}; {counts}{absent}; {divided}"

    def images(self, split: str) -> ItemPool:
        return ListedImages(self._images, self._list_images(split))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Yield the captions of a split's images; every split reports the problems of the file."""
        return caption_queries(self._captions_of(split))

    def _captions_of(self, split: str) -> Iterator[Caption | Failure]:
        names = {row.name for row in self._list_images(split) if isinstance(row, ListedImage)}
        for caption in self._read_captions():
            if isinstance(caption, Failure):
                yield caption
                continue
            name = self._complete_name(str(caption.item_id))
            if name in names or split == ONLY_SPLIT:
                yield replace(caption, item_id=self._ids.get(name, name))

    def _read_captions(self) -> Iterator[Caption | Failure]:
        """Yield the captions of the file; `item_id` is the image's name."""
        if self._json is None:
            yield from _read_text_file(self._captions)
            return
        for entry in self._json.entries:
            if isinstance(entry, Failure):
                yield entry
            else:
                yield from entry.captions()

    def _list_images(self, split: str) -> Iterator[ListedImage | Failure]:
        if split not in self._lists:
            in_split = self._json_splits.get(split)
            names = sorted(self._names) if in_split is None else in_split
            for number, name in enumerate(names, start=1):
                yield list_image(number, name, self._ids.get(name))
            return
        for line in read_text_lines(self._lists[split]):
            if isinstance(line, Failure):
                yield line
            else:
                name = self._complete_name(line[1].strip())
                yield list_image(line[0], name, self._ids.get(name))

    def _complete_name(self, name: str) -> str:
        """Return a file name with its ending and without a folder, as it is among the images."""
        if name in self._names:
            return name
        *folders, last = re.split(r"[/\\]", name)
        if ".." in folders:
            return name
        return next((each for each in (last, f"{last}.jpg") if each in self._names), name)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(path.name for path in self._images.iterdir() if path.name[0] != ".")

    @cached_property
    def _json(self) -> CaptionJson | None:
        return read_caption_json(self._captions) if self._captions.suffix == ".json" else None

    @cached_property
    def _json_splits(self) -> dict[str, list[str]]:
        """The names of the images of each split, if the captions say so and no lists do."""
        if self._json is None or self._lists:
            return {}
        return {
            split: list(dict.fromkeys(self._complete_name(image.name) for image in images))
            for split, images in self._json.splits.items()
        }

    @cached_property
    def _ids(self) -> dict[str, ItemId]:
        """Item ids that differ from the file names, by file name; only `captions.json` has any."""
        images = self._json.images if self._json else ()
        return {
            self._complete_name(image.name): image.item_id
            for image in images
            if image.item_id is not None
        }


# By whether a text file is a table.
_TEXT_SHAPES = {True: "a table of images and captions", False: "a line for each caption"}


def _read_text_file(path: Path) -> Iterator[Caption | Failure]:
    return _read_csv(path) if _read_as_table(path) else _read_tokens(path)


def _read_as_table(path: Path) -> bool:
    return path.name in {"captions.txt", "captions.csv"} and is_table(path)


def _read_csv(path: Path) -> Iterator[Caption | Failure]:
    for row in read_table(path, ("image", "caption")):
        if isinstance(row, TableRow):
            yield Caption(row.line, row.cells["caption"], row.cells["image"].strip())
        else:
            yield row


def _read_tokens(path: Path) -> Iterator[Caption | Failure]:
    """Read `NAME#0<TAB>text` and Flickr8k-CN's `NAME#zhc#0 text`; the first word is the text id."""
    for line in read_text_lines(path):
        if isinstance(line, Failure):
            yield line
            continue
        number, content = line
        key, _, text = content.strip().replace("\t", " ", 1).partition(" ")
        name, mark, _ = key.partition("#")
        if not name or not mark or not text.strip():
            yield Failure(number, None, "expected NAME#NUMBER, a tab or blank, and the caption")
        else:
            yield Caption(number, text.strip(), name, key)


def _list_files(root: Path) -> Iterator[Path]:
    """Yield the texts in a folder, then those in its subfolders that do not hold images."""
    folders, files = list_folder(root, _ENDINGS)
    yield from files
    for folder in folders:
        if folder.name.lower() not in _IMAGE_FOLDERS:
            yield from list_folder(folder, _ENDINGS)[1]
