"""Flickr8k and its Chinese captions: a folder of images, a file of captions, lists of splits."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure, ItemId, is_id
from tusou.data.base import ONLY_SPLIT, DatasetQuery, ItemPool, sort_splits
from tusou.data.captions import Caption, caption_queries
from tusou.data.csv_reader import TableRow, read_lines, read_table
from tusou.data.listed_images import ListedImage, ListedImages, listed, listing

# Where a folder holds several, the first is read; Chinese captions come before English ones.
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


@dataclass(frozen=True, slots=True)
class _Captioned:
    """One entry of a caption file; the ids are those that our own `tusou convert` adds."""

    line: int
    name: str
    text: str
    item_id: ItemId | None = None
    text_id: ItemId | None = None


class Flickr8k:
    """Captions of images that lie in a folder; an item's id is its image's file name."""

    def __init__(self, root: Path, captions: Path, images: Path) -> None:
        self._captions, self._images = captions, images
        self._lists = {split: path for path in _files(root) if (split := _split_of(path.name))}

    @classmethod
    def find(cls, place: Path) -> Self | None:
        """Open a folder that holds captions, or a caption file, beside a folder of images."""
        root = place.parent if place.is_file() else place
        files = [place] if place.is_file() else list(_files(root))
        found = [path for kind in _CAPTION_FILES for path in files if kind.fullmatch(path.name)]
        images = _image_folder(root) or _image_folder(root.parent)
        return cls(root, found[0], images) if found and images else None

    def splits(self) -> Sequence[str]:
        """Name the splits that are listed; `all` when none is."""
        return sort_splits(self._lists) or [ONLY_SPLIT]

    def images(self, split: str) -> ItemPool:
        """Give the images of a split as items."""
        return ListedImages(self._images, self._named(split))

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Yield the captions of a split's images; a problem of the file is in every split."""
        return caption_queries(self._of(split))

    def queries_file(self, split: str) -> None:
        """Say that no split has a query file."""

    def asking_images(self, split: str) -> None:
        """Leave it to the queries: they name the images."""

    def _of(self, split: str) -> Iterator[Caption | Failure]:
        listed = {named.name for named in self._named(split) if isinstance(named, ListedImage)}
        for found in read_captions(self._captions):
            if isinstance(found, Failure):
                yield found
                continue
            name = self._file_name(found.name)
            if name in listed or split not in self._lists:
                item_id = found.item_id if found.item_id is not None else name
                yield Caption(found.line, found.text, item_id, found.text_id)

    def _named(self, split: str) -> Iterator[ListedImage | Failure]:
        if split not in self._lists:
            for number, name in enumerate(sorted(self._names), start=1):
                yield self._named_file(number, name)
            return
        for line in read_lines(self._lists[split]):
            if isinstance(line, Failure):
                yield line
            else:
                yield self._named_file(line[0], self._file_name(line[1].strip()))

    def _named_file(self, line: int, name: str) -> ListedImage | Failure:
        return listed(line, name, self._ids.get(name))

    def _file_name(self, name: str) -> str:
        """Complete a name: Flickr8k-CN leaves the ending out."""
        return name if name in self._names or f"{name}.jpg" not in self._names else f"{name}.jpg"

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(path.name for path in self._images.iterdir() if path.name[0] != ".")

    @cached_property
    def _ids(self) -> dict[str, str]:
        """Say which images have an id that is not their name: only a `captions.json` can."""
        if self._captions.suffix != ".json":
            return {}
        entries = (entry for entry in _entries(self._captions) if isinstance(entry, dict))
        return {
            str(entry["image"]): str(entry["item_id"])
            for entry in entries
            if "image" in entry and is_id(entry.get("item_id"))
        }


def read_captions(path: Path) -> Iterator[_Captioned | Failure]:
    """Read a caption file of any of the formats, told apart by their names."""
    if path.suffix == ".json":
        return _json_captions(path)
    if path.name == "captions.txt" and _is_table(path):
        return _table_captions(path)
    return _token_captions(path)


def _json_captions(path: Path) -> Iterator[_Captioned | Failure]:
    for number, entry in enumerate(_entries(path), start=1):
        if not isinstance(entry, dict) or not isinstance(name := entry.get("image"), str):
            yield Failure(number, None, 'not an object with "image" and "captions"')
            continue
        texts, ids = entry.get("captions"), entry.get("caption_ids")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            yield Failure(number, name, '"captions" is not a list of texts')
            continue
        known = ids if isinstance(ids, list) and len(ids) == len(texts) else [None] * len(texts)
        item_id = entry.get("item_id") if is_id(entry.get("item_id")) else None
        for text, text_id in zip(texts, known, strict=True):
            yield _Captioned(number, name, text, item_id, text_id if is_id(text_id) else None)


def _entries(path: Path) -> list[object]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
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
    first = next(read_lines(path), None)
    return isinstance(first, tuple) and first[1].replace(" ", "").lower().startswith("image,")


def _table_captions(path: Path) -> Iterator[_Captioned | Failure]:
    for row in read_table(path, ("image", "caption")):
        if isinstance(row, TableRow):
            yield _Captioned(row.line, row.cells["image"].strip(), row.cells["caption"])
        else:
            yield row


def _token_captions(path: Path) -> Iterator[_Captioned | Failure]:
    """Read `NAME#0<TAB>text` and Flickr8k-CN's `NAME#zhc#0 text`: the first word names the text."""
    for line in read_lines(path):
        if isinstance(line, Failure):
            yield line
            continue
        number, written = line
        key, _, text = written.strip().replace("\t", " ", 1).partition(" ")
        name, mark, _ = key.partition("#")
        if not name or not mark or not text.strip():
            yield Failure(number, None, "expected NAME#NUMBER, a tab or blank, and the caption")
        else:
            yield _Captioned(number, name, text.strip(), text_id=key)


def _split_of(name: str) -> str | None:
    found = (kind.fullmatch(name) for kind in _SPLIT_FILES)
    return next((match["split"] for match in found if match), None)


def _files(root: Path) -> Iterator[Path]:
    """List the files in a folder, then those one folder below that holds no images."""
    folders, files = listing(root)
    yield from files
    for folder in folders:
        if folder.name.lower() not in _IMAGE_FOLDERS:
            yield from listing(folder)[1]


def _image_folder(root: Path) -> Path | None:
    """Find the images up to two folders below; archives have put them inside one another."""
    for folder in listing(root)[0]:
        if folder.name.lower() in _IMAGE_FOLDERS:
            inner = (path for path in listing(folder)[0] if path.name.lower() in _IMAGE_FOLDERS)
            return next(inner, folder)
    return None
