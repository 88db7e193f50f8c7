"""Images to pixels in worker processes, in order, with a bounded number in flight."""

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tusou.bundle.item_reader import ItemReader, image_of
from tusou.core.arrays import Pixels
from tusou.core.errors import BadImage
from tusou.core.ids import Encoding
from tusou.core.process_limits import exit_with_parent, limit_memory
from tusou.images.preprocess import open_image, to_pixels

# A hostile image that gets past the size checks still cannot take the machine's memory.
_WORKER_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Decoded:
    """One batch of images: pixels of the good ones, a reason for each of the others."""

    pixels: Pixels  # (n, size, size, 3)
    good: tuple[int, ...]  # positions within the batch
    bad: tuple[tuple[int, str], ...]  # position and reason
    checks: tuple[int, ...]  # the CRC-32 of what each good one is stored as


class Decoder:
    """Processes that decode batches of images out of a pool's files."""

    def __init__(self, files: Sequence[Path], encoding: Encoding, size: int, workers: int) -> None:
        self._files, self._encoding = files, encoding
        self._size, self._workers = size, workers

    def __enter__(self) -> Self:
        self._pool = self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def decode(self, batches: Iterable[npt.NDArray[np.int64]]) -> Iterator[Decoded]:
        """Decode batches of a plan's places, yielding results in the same order."""
        waiting: deque[tuple[npt.NDArray[np.int64], Future[Decoded]]] = deque()
        for places in batches:
            waiting.append((places, self._submit(places)))
            if len(waiting) > 2 * self._workers:
                yield self._result(*waiting.popleft())
        while waiting:
            yield self._result(*waiting.popleft())

    def _start(self) -> ProcessPoolExecutor:
        # Spawned, not forked: torch's threads in the parent would not survive a fork.
        return ProcessPoolExecutor(
            self._workers, multiprocessing.get_context("spawn"), _prepare_worker
        )

    def _submit(self, places: npt.NDArray[np.int64]) -> Future[Decoded]:
        # Of a hundred thousand files a worker is told those of its batch.
        files = {number: self._files[number] for number in np.unique(places[:, 1]).tolist()}
        job = partial(_decode_batch, files, self._encoding, self._size, places)
        try:
            return self._pool.submit(job)
        except BrokenProcessPool:  # an image killed a worker: go on with fresh ones
            self._pool = self._start()
            return self._pool.submit(job)

    def _result(self, places: npt.NDArray[np.int64], future: Future[Decoded]) -> Decoded:
        try:
            return future.result()
        except BrokenProcessPool:
            return self._one_by_one(places)

    def _one_by_one(self, places: npt.NDArray[np.int64]) -> Decoded:
        """Find the image that killed its worker; the others of the batch are kept."""
        parts = []
        for row in range(len(places)):
            try:
                parts.append(self._submit(places[row : row + 1]).result())
            except BrokenProcessPool:
                bad = ((0, "image crashes the decoder"),)
                parts.append(Decoded(_none(self._size), (), bad, ()))
        return Decoded(
            np.concatenate([part.pixels for part in parts]),
            tuple(row for row, part in enumerate(parts) if part.good),
            tuple((row, part.bad[0][1]) for row, part in enumerate(parts) if part.bad),
            tuple(check for part in parts for check in part.checks),
        )


def _prepare_worker() -> None:
    exit_with_parent()
    limit_memory(_WORKER_BYTES)


def _decode_batch(
    files: Mapping[int, Path], encoding: Encoding, size: int, places: npt.NDArray[np.int64]
) -> Decoded:
    pixels: list[Pixels] = []
    good: list[int] = []
    bad: list[tuple[int, str]] = []
    checks: list[int] = []
    with ItemReader(files) as pool:
        for row, (_, *place) in enumerate(places.tolist()):
            try:
                stored = pool.read(*place)
                pixels.append(to_pixels(open_image(image_of(stored, encoding)), size))
                good.append(row)
                checks.append(crc32(stored))
            except BadImage as error:
                bad.append((row, str(error)))
            except MemoryError:
                bad.append((row, "image needs too much memory"))
    return Decoded(
        np.stack(pixels) if pixels else _none(size), tuple(good), tuple(bad), tuple(checks)
    )


def _none(size: int) -> Pixels:
    return np.empty((0, size, size, 3), np.uint8)
