"""The images or texts of items whose vectors were given: their places in a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tusou.bundle.item_reader import ITSELF, ItemReader, source_file_name
from tusou.bundle.manifest import Source
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset
from tusou.core.files import sha256_of
from tusou.core.ids import Failure, ItemKind
from tusou.core.problems import list_problems
from tusou.data import open_pool, split_source


@dataclass(frozen=True, slots=True)
class AttachedItems:
    """The contents of items by row key; an item without one has a span of zeros."""

    kind: ItemKind
    source: Source
    files: list[str]  # relative to the source
    spans: npt.NDArray[np.int64]  # file, byte offset, length and CRC-32, (n, 4)


def no_items(vectors: Path, ids: Sequence[str]) -> AttachedItems:
    """Return items without contents; their source is the file of vectors."""
    source = Source(
        path=str(vectors.resolve()),
        split=None,
        encoding="raw",
        files=1,
        size=vectors.stat().st_size,
        sha256=sha256_of(vectors),
    )
    return AttachedItems("images", source, [ITSELF], np.zeros((len(ids), 4), np.int64))


def attach_items(source: str, ids: Sequence[str], progress: Progress) -> AttachedItems:
    """Find the content of each id in a dataset; a notice counts those on one side alone.

    Raises BadDataset when no id is one of the dataset.
    """
    path, split = split_source(source)
    pool, root = open_pool(source), str(path.resolve())
    keys = {item_id: key for key, item_id in enumerate(ids)}
    spans = np.zeros((len(ids), 4), np.int64)
    others: list[str] = []
    progress.begin("reading items", len(ids))
    with ItemReader(pool.files) as reader:
        for row in pool.scan_in_time():
            if isinstance(row, Failure):
                continue
            key = keys.pop(row.item_id, None)
            if key is None:  # of equal ids the first counts
                others.append(row.item_id)
                continue
            check = crc32(reader.read(row.file, row.offset, row.length))
            spans[key] = row.file, row.offset, row.length, check
            progress.advance()
    if len(keys) == len(ids):
        raise BadDataset(f"{source}: none of its items has a vector; the first id is {ids[0]}")
    if keys:
        missing = list_problems(list(keys))
        progress.notice(f"{len(keys):,} items have a vector and no content in {source}{missing}")
    if others:
        progress.notice(f"{len(others):,} items of {source} have no vector{list_problems(others)}")
    record = Source(
        path=root,
        split=split,
        encoding=pool.encoding,
        files=len(pool.files),
        size=pool.size,
        sha256=pool.sha256,
    )
    files = [source_file_name(root, file) for file in pool.files]
    return AttachedItems(pool.kind, record, files, spans)
