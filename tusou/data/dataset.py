"""One dataset, whatever its format: its splits, their images, and who asks for what."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure, ItemId
from tusou.data.base import DatasetQuery, ImageQuery, ItemPool, require_all

# Names of one and the same: MUGE says valid, Flickr8k dev, Flickr8k-CN val.
_VALID = ("valid", "dev", "val")


class DatasetReader(Protocol):
    """What a format has to offer; a split is always one of `splits()`."""

    def splits(self) -> Sequence[str]:
        """Name the splits there are, at least one."""
        ...

    def images(self, split: str) -> ItemPool:
        """Give the images of a split as items; BadDataset when the split has none."""
        ...

    def scan_queries(self, split: str) -> Iterator[DatasetQuery | Failure]:
        """Yield every query once; what cannot be used is a Failure. BadDataset when none can be."""
        ...

    def queries_file(self, split: str) -> Path | None:
        """Name the query file of a split, where the format has one."""
        ...

    def asking_images(self, split: str) -> Sequence[str] | None:
        """List the images that ask, where the format names them; None where texts name them."""
        ...


@dataclass(frozen=True, slots=True)
class Dataset:
    """A reader, asked for splits by the names that people use; `only` is the split that is meant.

    Where a split is left out, it is the only one.
    """

    path: Path
    reader: DatasetReader
    only: str | None = None

    def splits(self) -> Sequence[str]:
        """Name the splits that are meant."""
        return self.reader.splits() if self.only is None else [self.split()]

    def split(self, wanted: str | None = None) -> str:
        """Find a split by its name; BadDataset names those there are."""
        there, wanted = self.reader.splits(), wanted or self.only
        if wanted is None and len(there) == 1:
            return there[0]
        for name in (wanted, *(_VALID if wanted in _VALID else ())):
            if name in there:
                return str(name)
        choice = ", ".join(f"{self.path}#{split}" for split in there)
        fault = "it has several splits" if wanted is None else f"it has no split {wanted!r}"
        raise BadDataset(f"{self.path}: {fault}; give {choice}")

    def images(self, split: str | None = None) -> ItemPool:
        """Give the images of a split as items."""
        return self.reader.images(self.split(split))

    def scan_queries(self, split: str | None = None) -> Iterator[DatasetQuery | Failure]:
        """Yield what a split's texts ask for, and the lines that cannot be used."""
        return self.reader.scan_queries(self.split(split))

    def queries(self, split: str | None = None) -> list[DatasetQuery]:
        """List what a split's texts ask for; BadDataset lists every unusable line."""
        return require_all(self.path, self.scan_queries(split))

    def query_lines(self, split: str | None = None) -> bytes:
        """Give a split's queries as a query file: the bytes of the one there is, or rows anew."""
        file = self.reader.queries_file(self.split(split))
        if file is not None:
            return file.read_bytes()
        rows = ({"query_id": one.query_id, "query_text": one.text} for one in self.queries(split))
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)

    def image_queries(self, split: str | None = None) -> list[ImageQuery]:
        """List what a split's images ask for: every text that names an image is correct for it.

        Where only images are named (Teddy Cup's `i2t`) they have no correct texts. Images that
        no text names do not ask, as in cn_clip.
        """
        named = self.reader.asking_images(self.split(split))
        if named is None:
            return asked_of(self.queries(split))
        return [ImageQuery(line, item_id, ()) for line, item_id in enumerate(named, start=1)]


def asked_of(queries: Sequence[DatasetQuery]) -> list[ImageQuery]:
    """Turn the direction: each image with all the texts it is correct for, in their order."""
    texts: dict[ItemId, dict[ItemId, None]] = {}
    for query in queries:
        for item_id in query.item_ids or ():
            texts.setdefault(item_id, {})[query.query_id] = None
    return [
        ImageQuery(line, item_id, tuple(found))
        for line, (item_id, found) in enumerate(texts.items(), start=1)
    ]
