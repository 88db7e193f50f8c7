"""Decoded images of a split, kept on disk: decoded once, by worker processes."""

import fcntl
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import prod
from pathlib import Path

import numpy as np
from numpy.lib.format import write_array_header_1_0

from tusou.bundle.item_reader import decode_stored_image, read_span
from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels
from tusou.core.errors import BadImage
from tusou.core.files import create_file, write_file
from tusou.core.hardware import cpu_count
from tusou.core.ids import Encoding
from tusou.data import ItemPool, ItemRow
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform, pixel_shape
from tusou.images.workers import ImageWorkers

# So few images are decoded before the worker processes have started.
_FEW = 128


@dataclass(frozen=True, slots=True)
class DecodedImages:
    """The images of a split, in the order of its pool."""

    pool_ids: frozenset[str]  # of all images
    ids: tuple[str, ...]  # of those that can be decoded
    pixels: Pixels  # (ids, side, side, 3), mapped from the cache
    undecodable: int


def load_images(
    pool: ItemPool,
    split: str,
    transform: ImageTransform,
    cache: Path,
    progress: Progress,
    workers: int = 0,
) -> DecodedImages:
    """Return the images of a pool, decoded by `workers` processes; 0: one for each core.

    The cache key is a digest of the images' bytes and ids: data that changed is decoded again,
    wherever it lies. One process decodes at a time, and another one that needs the same images
    waits for it. The memory does not depend on the number of images. After a kill, the images are
    decoded again.
    """
    rows = _scan(pool, split, progress)
    key = blake2b(f"{pool.sha256} {transform}".encode(), digest_size=12)
    for row in rows:
        key.update(f"\0{row.item_id}".encode())
    name = f"{split}-{key.hexdigest()}"
    index, array = cache / f"{name}.json", cache / f"{name}.npy"
    if not index.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not index.exists():  # another process was faster
                progress.begin(f"decoding {split}", len(rows))
                ids = _decode(pool, rows, transform, array, progress, workers)
                write_file(index, json.dumps(ids).encode())  # it marks the array as complete
    ids = json.loads(index.read_text())
    pixels = np.load(array, mmap_mode="r")[: len(ids)]
    pool_ids = frozenset(row.item_id for row in rows)
    return DecodedImages(pool_ids, tuple(ids), pixels, len(rows) - len(ids))


def decode_pixels(
    path: str, offset: int, length: int, encoding: Encoding, transform: ImageTransform
) -> bytes:
    """Return the pixels of an item's image, as a job of `ImageWorkers`; BadImage."""
    stored = read_span(Path(path), offset, length)
    image = open_image(decode_stored_image(stored, encoding))
    return to_pixels(image, transform).tobytes()


def _scan(pool: ItemPool, split: str, progress: Progress) -> list[ItemRow]:
    progress.begin(f"reading {split}", 0)
    rows = []
    for row in pool.scan_in_time():
        progress.advance()
        if isinstance(row, ItemRow):
            rows.append(row)
    for sentence in pool.skipped.sentences():
        progress.notice(f"{split}: skipped {sentence}")
    return rows


def _decode(
    pool: ItemPool,
    rows: Sequence[ItemRow],
    transform: ImageTransform,
    array: Path,
    progress: Progress,
    workers: int,
) -> list[str]:
    """Write the images that can be decoded to an array with room for all; return their ids.

    An image at a time is written, so that a full disk is an error and not a signal, as it would be
    in mapped memory.
    """
    shape = (len(rows), *pixel_shape(transform))
    unfinished = array.with_suffix(".part")
    ids: list[str] = []
    with create_file(unfinished) as file:
        write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        head = file.tell()
        for row, pixels in zip(rows, _results(pool, rows, transform, workers), strict=True):
            progress.advance()
            if not isinstance(pixels, BadImage):
                file.write(pixels)
                ids.append(row.item_id)
        file.truncate(head + prod(shape))
    unfinished.replace(array)
    return ids


def _results(
    pool: ItemPool, rows: Sequence[ItemRow], transform: ImageTransform, workers: int
) -> Iterator[bytes | BadImage]:
    """Yield the pixels of each image in order, or why it has none."""
    jobs = (
        (str(pool.files[row.file]), row.offset, row.length, pool.encoding, transform)
        for row in rows
    )
    if len(rows) < _FEW:
        for job in jobs:
            try:
                yield decode_pixels(*job)
            except BadImage as error:
                yield error
        return
    with ImageWorkers(decode_pixels, workers or cpu_count()) as pool_of_workers:
        yield from pool_of_workers.map(jobs)
