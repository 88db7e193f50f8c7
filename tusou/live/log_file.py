"""An open log of live changes: reads its records and the contents of items."""

import io
import os
import re
import weakref
from collections.abc import Iterator
from pathlib import Path

from tusou.bundle.bundle import LIVE
from tusou.bundle.bundle_parts import damage_as_corrupt
from tusou.core.errors import IncompatibleBundle
from tusou.live.frames import HEADER_BYTES, LogScan
from tusou.live.operations import ContentSpan, LoggedBatch, decode_batches

LOG, LOCK = "log", "lock"

_MARK = re.compile(rb"[0-9]{20}\n")


class LogFile:
    """An open log; it can be read after a trimmed one has taken its name."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)
        self.header = self.scan().header

    def scan(self) -> LogScan:
        """Return a reader of the frames; CorruptBundle, and IncompatibleBundle for other formats.

        Appends may go on meanwhile; the scan does not see them.
        """
        return LogScan(self.path, io.BufferedReader(_FileView(self.descriptor)))

    def changes(self, after: int, until: int) -> Iterator[tuple[int, LoggedBatch]]:
        """Yield position and batch of the records behind `after`, up to `until`.

        Raises IncompatibleBundle when records behind `after` have been cut.
        """
        if after < self.header.base:
            raise IncompatibleBundle(
                f"{self.path} begins after position {self.header.base}, and the version holds the "
                f"changes up to {after} only; serve the version that a compaction wrote, or index "
                "again with --force"
            )
        for frame in self.scan():
            if frame.first > until:
                return
            if frame.last <= after:
                continue
            payload_at = self.logical(frame.end - len(frame.payload))
            with damage_as_corrupt(self.path):
                batches = list(decode_batches(frame.payload, payload_at))
            for position, batch in enumerate(batches, frame.first):
                if after < position <= until:
                    yield position, batch

    def logical(self, physical: int) -> int:
        """Return the offset that stays when the log is trimmed."""
        return self.header.start + physical - HEADER_BYTES

    def read(self, span: ContentSpan) -> bytes:
        """Return the bytes of an item; fewer or none if they have been cut or lost."""
        physical = HEADER_BYTES + span.offset - self.header.start
        if physical < HEADER_BYTES:
            return b""
        return os.pread(self.descriptor, span.length, physical)


class _FileView(io.RawIOBase):
    """An open file with a place of its own, so that several readers do not move each other's."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._place = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = (0, self._place, os.fstat(self._descriptor).st_size)
        self._place = starts[whence] + offset
        return self._place

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        count = os.preadv(self._descriptor, [buffer], self._place)
        self._place += count
        return count


def log_path(root: Path) -> Path:
    """Return the path of a bundle's log."""
    return root / LIVE / LOG


def write_mark(descriptor: int, position: int) -> None:
    """Tell other processes up to which position a log is on the disk."""
    os.pwrite(descriptor, b"%020d\n" % position, 0)


def read_mark(root: Path) -> int | None:
    """Return the position up to which the process that writes the log has it on the disk."""
    try:
        mark = (root / LIVE / LOCK).read_bytes()
    except OSError:
        return None
    return int(mark) if _MARK.fullmatch(mark) else None
