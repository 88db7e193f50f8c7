"""One pass over the images of a split: the pool lists them, processes look at them meanwhile."""

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
from tusou_lab.check.fingerprint import Looks, look_at

_BATCH = 64
_WORKER_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """An image of a split that can be used, and where it lies."""

    split: str
    row: ItemRow
    path: Path
    encoding: Encoding
    looks: Looks


Seen: TypeAlias = list[Looks | str]


class Onlookers:
    """Processes that look at images; one that an image kills is replaced."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def __enter__(self) -> Self:
        self._pool = self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def scan(self, split: str, pool: ItemPool) -> Iterator[ScannedImage | Failure]:
        """Yield every row of a pool once: what it is, or why it cannot be used."""
        waiting: deque[tuple[list[ItemRow], Future[Seen]]] = deque()
        seen: set[str] = set()
        found_rows = pool.scan()
        while batch := list(islice(found_rows, _BATCH)):
            rows = []
            for found in batch:
                if isinstance(found, Failure):
                    yield found
                elif found.item_id in seen:
                    yield Failure(found.line, found.item_id, "duplicate id")
                else:
                    rows.append(found)
                    seen.add(found.item_id)
            waiting.append((rows, self._submit(rows, pool)))
            if len(waiting) > 2 * self._workers:
                yield from self._told(split, pool, *waiting.popleft())
        while waiting:
            yield from self._told(split, pool, *waiting.popleft())

    def _told(
        self, split: str, pool: ItemPool, rows: list[ItemRow], future: Future[Seen]
    ) -> Iterator[ScannedImage | Failure]:
        try:
            looks = future.result()
        except BrokenProcessPool:
            looks = [self._alone(row, pool) for row in rows]
        for row, one in zip(rows, looks, strict=True):
            if isinstance(one, Looks):
                yield ScannedImage(split, row, pool.files[row.file], pool.encoding, one)
            else:
                yield Failure(row.line, row.item_id, one)

    def _alone(self, row: ItemRow, pool: ItemPool) -> Looks | str:
        try:
            return self._submit([row], pool).result()[0]
        except BrokenProcessPool:
            return "image crashes the decoder"

    def _submit(self, rows: list[ItemRow], pool: ItemPool) -> Future[Seen]:
        files = {row.file: pool.files[row.file] for row in rows}
        try:
            return self._pool.submit(_look, files, pool.encoding, rows)
        except BrokenProcessPool:
            self._pool = self._start()
            return self._pool.submit(_look, files, pool.encoding, rows)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, get_context("spawn"), _prepare_worker)


def _prepare_worker() -> None:
    exit_with_parent()
    limit_memory(_WORKER_BYTES)


def _look(files: dict[int, Path], encoding: Encoding, rows: Iterable[ItemRow]) -> Seen:
    found: Seen = []
    with ItemReader(files) as pool:
        for row in rows:
            try:
                stored = pool.read(row.file, row.offset, row.length)
                found.append(look_at(image_of(stored, encoding)))
            except BadImage as error:
                found.append(str(error))
            except MemoryError:
                found.append("image needs too much memory")
    return found
