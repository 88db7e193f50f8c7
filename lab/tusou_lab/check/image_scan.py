"""Fingerprinting of a pool's images in worker processes, in one pass."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.item_reader import decode_stored_image, read_span
from tusou.core.errors import BadImage
from tusou.core.ids import Encoding, Failure
from tusou.data import ItemPool, ItemRow
from tusou.data.base import scan_unique
from tusou.images.workers import ImageWorkers
from tusou_lab.check.fingerprint import ImageFingerprint, fingerprint_image


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """A readable image of a split, and where its bytes are."""

    split: str
    row: ItemRow
    path: Path
    encoding: Encoding
    fingerprint: ImageFingerprint


def scan_images(
    split: str, pool: ItemPool, workers: ImageWorkers, failures: list[Failure]
) -> Iterator[ScannedImage]:
    """Yield the readable images of a pool; add its other rows to `failures`.

    The job of `workers` is `fingerprint_item`.
    """
    submitted: deque[ItemRow] = deque()

    def jobs() -> Iterator[tuple[object, ...]]:
        for row in scan_unique(pool):
            if isinstance(row, Failure):
                failures.append(row)
            else:
                submitted.append(row)
                yield str(pool.files[row.file]), row.offset, row.length, pool.encoding

    for result in workers.map(jobs()):
        row = submitted.popleft()
        if isinstance(result, BadImage):
            failures.append(Failure(row.line, row.item_id, str(result)))
        else:
            fingerprint = ImageFingerprint.unpack(result)
            yield ScannedImage(split, row, pool.files[row.file], pool.encoding, fingerprint)


def fingerprint_item(path: str, offset: int, length: int, encoding: Encoding) -> bytes:
    """Return the packed fingerprint of an item's image, as a job of `ImageWorkers`; BadImage."""
    stored = read_span(Path(path), offset, length)
    return fingerprint_image(decode_stored_image(stored, encoding)).pack()
