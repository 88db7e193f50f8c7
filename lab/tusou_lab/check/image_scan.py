"""Fingerprinting of a pool's images in worker processes, in one pass."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tusou.bundle.item_reader import decode_stored_image, read_span
from tusou.core.errors import BadImage
from tusou.core.ids import Encoding, Failure
from tusou.data import ItemPool, ItemRow
from tusou.images.workers import MAX_AHEAD, ImageWorkers
from tusou_lab.check.fingerprint import ImageFingerprint, fingerprint_image

# A worker may be killed by something else than its image, so each image is tried again once.
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """A readable image of a split, and where its bytes are."""

    split: str
    row: ItemRow
    path: Path
    encoding: Encoding
    fingerprint: ImageFingerprint


class ImageScanner:
    """Fingerprints images in worker processes; an image that crashes one is a failure."""

    def __init__(self, workers: int) -> None:
        self._workers = ImageWorkers(fingerprint_item, workers, attempts=_ATTEMPTS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.close()

    def scan(self, split: str, pool: ItemPool) -> Iterator[ScannedImage | Failure]:
        """Yield every row of a pool once, as a scanned image or a Failure."""
        pending: deque[tuple[ItemRow, Future[bytes]]] = deque()
        seen_ids: set[str] = set()
        for row in pool.scan():
            if isinstance(row, Failure):
                yield row
            elif row.item_id in seen_ids:
                yield Failure(row.line, row.item_id, "duplicate id")
            else:
                seen_ids.add(row.item_id)
                span = str(pool.files[row.file]), row.offset, row.length
                pending.append((row, self._workers.submit(*span, pool.encoding)))
            if len(pending) > MAX_AHEAD:
                yield _result(split, pool, *pending.popleft())
        while pending:
            yield _result(split, pool, *pending.popleft())


def fingerprint_item(path: str, offset: int, length: int, encoding: Encoding) -> bytes:
    """Return the packed fingerprint of an item's image, as a job of `ImageWorkers`; BadImage."""
    stored = read_span(Path(path), offset, length)
    return fingerprint_image(decode_stored_image(stored, encoding)).pack()


def _result(
    split: str, pool: ItemPool, row: ItemRow, future: Future[bytes]
) -> ScannedImage | Failure:
    try:
        fingerprint = ImageFingerprint.unpack(future.result())
    except BadImage as error:
        return Failure(row.line, row.item_id, str(error))
    return ScannedImage(split, row, pool.files[row.file], pool.encoding, fingerprint)
