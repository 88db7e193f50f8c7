"""Flickr8k and its Chinese captions: a folder of images, a file of captions, lists of splits."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure, ItemId, is_id
from tusou.data.base import ONLY_SPLIT, DatasetQuery, DatasetReader, ItemPool, sort_splits
from tusou.data.captions import Caption, caption_queries
from tusou.data.csv_reader import TableRow, read_table, read_text_lines
from tusou.data.listed_images import ListedImage, ListedImages, list_folder, list_image
from tusou.data.text_file import read_text_bytes

# In order of preference: Chinese captions before English ones.
_CAPTION_FILES = (
    re.compile(r"captions\.json"),
    re.compile(r"flickr8kzhc\.captions?\.txt"),
    re.compile(r"flickr8kzh\w+\.captions?\.txt"),
    re.compile(r"captions\.txt"),
    re.compile(r"Flickr8k\.token\.txt"),
    re.compile(r"flickr8ken\w*\.captions?\.txt"),
)
_SPLIT_FILES = (
    re.compile(r"Flickr_8k\.(?P<split>\w+)Images\.txt"),
    re.compile(r"flickr8k(?P<split>train|val|test)\.txt"),
)
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
        images = _find_images(root) or _find_images(root.parent)
        return cls(root, captions[0], images) if captions and images else None

    def splits(self) -> Sequence[str]:
        """Return the splits that have a list, or `all`."""
        return sort_splits(self._lists) or [ONLY_SPLIT]

    def images(self, split: str) -> ItemPool:
        return ListedImages(self._images, self._list_images(split))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Yield the captions of a split's images; every split reports the problems of the file."""
        return caption_queries(self._captions_of(split))

    def _captions_of(self, split: str) -> Iterator[Caption | Failure]:
        names = {row.name for row in self._list_images(split) if isinstance(row, ListedImage)}
        for caption in _read_captions(self._captions):
            if isinstance(caption, Failure):
                yield caption
                continue
            name = self._complete_name(str(caption.item_id))
            if name in names or split not in self._lists:
                yield replace(caption, item_id=self._ids.get(name, name))

    def _list_images(self, split: str) -> Iterator[ListedImage | Failure]:
        if split not in self._lists:
            for number, name in enumerate(sorted(self._names), start=1):
                yield list_image(number, name, self._ids.get(name))
            return
        for line in read_text_lines(self._lists[split]):
            if isinstance(line, Failure):
                yield line
            else:
                name = self._complete_name(line[1].strip())
                yield list_image(line[0], name, self._ids.get(name))

    def _complete_name(self, name: str) -> str:
        """Return a file name with its ending, which Flickr8k-CN leaves out."""
        return name if name in self._names or f"{name}.jpg" not in self._names else f"{name}.jpg"

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(path.name for path in self._images.iterdir() if path.name[0] != ".")

    @cached_property
    def _ids(self) -> dict[str, ItemId]:
        """Item ids that differ from the file names, by file name; only `captions.json` has any."""
        if self._captions.suffix != ".json":
            return {}
        entries = (entry for entry in _load_entries(self._captions) if isinstance(entry, dict))
        return {
            str(entry["image"]): entry["item_id"]
            for entry in entries
            if "image" in entry and is_id(entry.get("item_id"))
        }


def _read_captions(path: Path) -> Iterator[Caption | Failure]:
    """Yield the captions of a file, whose name tells its format; `item_id` is the image's name."""
    if path.suffix == ".json":
        return _read_json(path)
    if path.name == "captions.txt" and _is_table(path):
        return _read_csv(path)
    return _read_tokens(path)


def _read_json(path: Path) -> Iterator[Caption | Failure]:
    for number, entry in enumerate(_load_entries(path), start=1):
        if not isinstance(entry, dict) or not isinstance(name := entry.get("image"), str):
            yield Failure(number, None, 'not an object with "image" and "captions"')
            continue
        texts, ids = entry.get("captions"), entry.get("caption_ids")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            yield Failure(number, name, '"captions" is not a list of texts')
            continue
        text_ids = ids if isinstance(ids, list) and len(ids) == len(texts) else [None] * len(texts)
        for text, text_id in zip(texts, text_ids, strict=True):
            yield Caption(number, text, name, text_id if is_id(text_id) else None)


def _load_entries(path: Path) -> list[object]:
    try:
        entries = json.loads(read_text_bytes(path).decode())
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadDataset(f"{path}:{error.lineno}: not JSON ({error.msg})") from None
    except RecursionError:
        raise BadDataset(f"{path}: not JSON (nested too deeply)") from None
    if not isinstance(entries, list):
        raise BadDataset(f'{path}: not a list of {{"image", "captions"}}')
    return entries


def _is_table(path: Path) -> bool:
    first = next(read_text_lines(path), None)
    return isinstance(first, tuple) and first[1].replace(" ", "").lower().startswith("image,")


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
    """Yield the files in a folder, then those in its subfolders that do not hold images."""
    folders, files = list_folder(root)
    yield from files
    for folder in folders:
        if folder.name.lower() not in _IMAGE_FOLDERS:
            yield from list_folder(folder)[1]


def _find_images(root: Path) -> Path | None:
    """Return the folder of images, one or two levels below: some archives nest it in another."""
    for folder in list_folder(root)[0]:
        if folder.name.lower() in _IMAGE_FOLDERS:
            inner = (path for path in list_folder(folder)[0] if path.name.lower() in _IMAGE_FOLDERS)
            return next(inner, folder)
    return None
