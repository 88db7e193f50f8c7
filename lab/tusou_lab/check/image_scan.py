"""Fingerprinting of a pool's images in worker processes, in one pass."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Self, TypeAlias

from tusou.bundle.item_reader import ItemReader, image_of
from tusou.core.errors import BadImage
from tusou.core.ids import Encoding, Failure
from tusou.core.process_limits import exit_with_parent, limit_memory
from tusou.data import ItemPool, ItemRow
from tusou_lab.check.fingerprint import ImageFingerprint, fingerprint_image

_BATCH = 64
_WORKER_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """A readable image of a split, and where its bytes are."""

    split: str
    row: ItemRow
    path: Path
    encoding: Encoding
    fingerprint: ImageFingerprint


# For each row of a batch, its fingerprint or the reason why there is none.
_BatchResult: TypeAlias = list[ImageFingerprint | str]


class ImageScanner:
    """A pool of worker processes; a worker that an image crashes is replaced."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def __enter__(self) -> Self:
        self._executor = self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def scan(self, split: str, pool: ItemPool) -> Iterator[ScannedImage | Failure]:
        """Yield every row of a pool once, as a scanned image or a Failure."""
        pending: deque[tuple[list[ItemRow], Future[_BatchResult]]] = deque()
        seen_ids: set[str] = set()
        pool_rows = pool.scan()
        while batch := list(islice(pool_rows, _BATCH)):
            rows = []
            for row in batch:
                if isinstance(row, Failure):
                    yield row
                elif row.item_id in seen_ids:
                    yield Failure(row.line, row.item_id, "duplicate id")
                else:
                    rows.append(row)
                    seen_ids.add(row.item_id)
            pending.append((rows, self._submit(rows, pool)))
            if len(pending) > 2 * self._workers:
                yield from self._results(split, pool, *pending.popleft())
        while pending:
            yield from self._results(split, pool, *pending.popleft())

    def _results(
        self, split: str, pool: ItemPool, rows: list[ItemRow], future: Future[_BatchResult]
    ) -> Iterator[ScannedImage | Failure]:
        try:
            results = future.result()
        except BrokenProcessPool:
            results = [self._scan_alone(row, pool) for row in rows]
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, ImageFingerprint):
                yield ScannedImage(split, row, pool.files[row.file], pool.encoding, result)
            else:
                yield Failure(row.line, row.item_id, result)

    def _scan_alone(self, row: ItemRow, pool: ItemPool) -> ImageFingerprint | str:
        """Scan one image of a batch that broke the executor, to find the one that crashes it."""
        try:
            return self._submit([row], pool).result()[0]
        except BrokenProcessPool:
            return "image crashes the decoder"

    def _submit(self, rows: list[ItemRow], pool: ItemPool) -> Future[_BatchResult]:
        files = {row.file: pool.files[row.file] for row in rows}
        try:
            return self._executor.submit(_fingerprint_batch, files, pool.encoding, rows)
        except BrokenProcessPool:
            self._executor = self._start()
            return self._executor.submit(_fingerprint_batch, files, pool.encoding, rows)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, get_context("spawn"), _prepare_worker)


def _prepare_worker() -> None:
    exit_with_parent()
    limit_memory(_WORKER_BYTES)


def _fingerprint_batch(
    files: dict[int, Path], encoding: Encoding, rows: Iterable[ItemRow]
) -> _BatchResult:
    results: _BatchResult = []
    with ItemReader(files) as reader:
        for row in rows:
            try:
                stored = reader.read(row.file, row.offset, row.length)
                results.append(fingerprint_image(image_of(stored, encoding)))
            except BadImage as error:
                results.append(str(error))
            except MemoryError:
                results.append("image needs too much memory")
    return results
