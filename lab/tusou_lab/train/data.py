"""A split to train on: images decoded and resized once, tokens, and who is correct for whom."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from tusou.bundle.item_reader import ItemReader, image_of
from tusou.cli.progress import Progress
from tusou.core.arrays import ItemId, Pixels
from tusou.core.errors import BadDataset, BadImage
from tusou.data.base import ItemRow
from tusou.data.formats.muge import ImagesFile, read_queries
from tusou.encoders.tokenizer import ClipTokenizer
from tusou.images.preprocess import open_image, to_pixels


@dataclass(frozen=True, slots=True)
class Split:
    """One split in memory; rows are positions, the ids are gone."""

    pixels: Pixels  # (images, size, size, 3), mapped from the cache
    tokens: NDArray[np.int64]  # (queries, width), padded with 0
    answers: tuple[NDArray[np.int64], ...]  # per query: its correct images' rows, ascending

    def asking(self) -> tuple[NDArray[np.int64], ...]:
        """List per image the queries it is correct for."""
        queries = np.repeat(np.arange(len(self.answers)), [len(found) for found in self.answers])
        images = np.concatenate(self.answers)
        order = np.argsort(images, kind="stable")
        ends = np.cumsum(np.bincount(images, minlength=len(self.pixels)))
        return tuple(np.split(queries[order], ends[:-1]))


def open_split(data: Path, split: str, size: int, cache: Path, watcher: Progress) -> Split:
    """Read a split of a MUGE folder; its images come from the cache after the first time.

    Queries without a usable image among their answers are left out; BadDataset when none is left.
    """
    images, asked = data / f"MR_{split}_imgs.tsv", data / f"MR_{split}_queries.jsonl"
    if missing := [path for path in (images, asked) if not path.is_file()]:
        raise BadDataset(f"{missing[0]} is missing: training needs a train and a valid split")
    ids, pixels = _images(images, split, size, cache, watcher)
    rows = {item_id: row for row, item_id in enumerate(ids)}
    queries = read_queries(asked)
    found = [_rows_of(query.item_ids or (), rows) for query in queries]
    kept = [number for number, answers in enumerate(found) if len(answers)]
    if not kept:
        raise BadDataset(f"{data}: no {split} query has a correct image to learn from")
    tokens = ClipTokenizer().prepare([queries[number].text for number in kept])
    return Split(pixels, tokens.ids, tuple(found[number] for number in kept))


def _rows_of(item_ids: Sequence[ItemId], rows: Mapping[str, int]) -> NDArray[np.int64]:
    known = {rows[str(item_id)] for item_id in item_ids if str(item_id) in rows}
    return np.array(sorted(known), dtype=np.int64)


def _images(
    path: Path, split: str, size: int, cache: Path, watcher: Progress
) -> tuple[list[str], Pixels]:
    source = path.resolve()
    stamp = [str(source), source.stat().st_size, source.stat().st_mtime_ns]
    name = f"{path.stem}-{size}-{blake2b(bytes(source), digest_size=4).hexdigest()}"
    index, array = cache / f"{name}.json", cache / f"{name}.npy"
    known = json.loads(index.read_text()) if index.exists() else {}
    if known.get("stamp") != stamp:
        cache.mkdir(parents=True, exist_ok=True)
        index.unlink(missing_ok=True)  # it must not outlive the images it describes
        known = {"stamp": stamp, "ids": _fill(path, split, size, array, watcher)}
        index.write_text(json.dumps(known))
    return known["ids"], np.load(array, mmap_mode="r")[: len(known["ids"])]


def _fill(path: Path, split: str, size: int, array: Path, watcher: Progress) -> list[str]:
    """Decode every usable image into the array; the unusable are passed over."""
    pool = ImagesFile(path)
    rows = [row for row in pool.scan() if isinstance(row, ItemRow)]
    pixels = open_memmap(array, "w+", np.uint8, (len(rows), size, size, 3))
    ids: list[str] = []
    watcher.begin(f"decoding {split}", len(rows))
    with ItemReader(pool.files) as files:
        for row in rows:
            watcher.advance()
            stored = files.read(row.file, row.offset, row.length)
            try:
                image = open_image(image_of(stored, pool.encoding))
            except BadImage:
                continue
            pixels[len(ids)] = to_pixels(image, size)
            ids.append(row.item_id)
    pixels.flush()
    return ids
