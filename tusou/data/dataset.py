"""Datasets of any format: splits, item pools, and queries in both directions."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure, ItemId
from tusou.data.base import (
    DatasetQuery,
    DatasetReader,
    ImageQuery,
    ItemPool,
    MissingPart,
    require_all,
)
from tusou.data.labelled_pairs import LabelledPair
from tusou.data.query_lines import read_query_lines

# Names for the same split: MUGE says valid, Flickr8k dev, Flickr8k-CN val.
_VALIDATION = ("valid", "dev", "val")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset on disk; `only` restricts it to one split.

    A method without a `split` takes the only one, and raises BadDataset if there are several.
    """

    path: Path
    reader: DatasetReader
    only: str | None = None

    def splits(self) -> Sequence[str]:
        return self.reader.splits() if self.only is None else [self.split()]

    def split(self, name: str | None = None) -> str:
        """Return the reader's name of a split; BadDataset lists the splits that exist.

        `valid`, `dev` and `val` name the same split.
        """
        splits, name = self.reader.splits(), name or self.only
        if name is None and len(splits) == 1:
            return splits[0]
        for candidate in (name, *(_VALIDATION if name in _VALIDATION else ())):
            if candidate in splits:
                return str(candidate)
        choice = ", ".join(f"{self.path}#{split}" for split in splits)
        problem = "it has several splits" if name is None else f"it has no split {name!r}"
        raise BadDataset(f"{self.path}: {problem}; give {choice}")

    def images(self, split: str | None = None) -> ItemPool:
        """Return the images of a split as items; MissingPart when it has none."""
        pool = self.reader.images(self.split(split))
        if pool is None:
            raise MissingPart(f"{self.path} holds queries, no images; give an image file")
        return pool

    def scan_queries(self, split: str | None = None) -> Iterator[DatasetQuery | Failure]:
        """Yield each query of a split, or a Failure for a line; MissingPart if there are none."""
        rows = self.reader.scan_queries(self.split(split))
        if rows is None:
            raise MissingPart(f"{self.path} holds images, no queries; give a query file")
        return rows

    def queries(self, split: str | None = None) -> list[DatasetQuery]:
        """Return the text queries of a split; BadDataset lists every unusable line."""
        return require_all(self.path, self.scan_queries(split))

    def pairs(self, split: str | None = None) -> list[LabelledPair]:
        """Return the labelled pairs of a split; MissingPart when it has none.

        BadDataset lists every unusable line.
        """
        rows = self.reader.scan_pairs(self.split(split))
        if rows is None:
            raise MissingPart(
                f"{self.path} holds no labelled pairs; give Zero's ICM or IQM, or JSON lines of "
                "text, item_id and label"
            )
        return require_all(self.path, rows, "pairs")

    def query_lines(self, split: str | None = None) -> bytes:
        """Return a split's queries as the content of a query file: its own, or rows made of them.

        Rows that are made hold `query_id` and `query_text` only.
        """
        file = self.reader.query_file(self.split(split))
        if file is not None:
            return read_query_lines(file)
        rows = (
            {"query_id": query.query_id, "query_text": query.text} for query in self.queries(split)
        )
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)

    def image_queries(self, split: str | None = None) -> list[ImageQuery]:
        """Return the image queries of a split: the texts that name an image are its correct ones.

        Where images are only listed (Teddy Cup's `i2t`), they have no correct texts. Images that
        no text names are not queries, as in cn_clip.
        """
        image_ids = self.reader.image_query_ids(self.split(split))
        if image_ids is not None:
            return [
                ImageQuery(line, item_id, ()) for line, item_id in enumerate(image_ids, start=1)
            ]
        texts: dict[ItemId, dict[ItemId, None]] = {}  # each image's texts, in order
        for query in self.queries(split):
            for item_id in query.item_ids or ():
                texts.setdefault(item_id, {})[query.query_id] = None
        return [
            ImageQuery(line, item_id, tuple(text_ids))
            for line, (item_id, text_ids) in enumerate(texts.items(), start=1)
        ]
