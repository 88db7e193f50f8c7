"""The write-ahead log of live changes: durable before it answers, written by one process."""

import fcntl
import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep

from tusou.bundle.bundle import LIVE
from tusou.core.errors import Locked, StorageFull
from tusou.core.files import create_file, sync, temporary_of, write_file
from tusou.live.frames import HEADER_BYTES, LogHeader, pack_frame, pack_header
from tusou.live.log_file import LOCK, LogFile, log_path, write_mark
from tusou.live.operations import (
    Batch,
    ContentSpan,
    LoggedBatch,
    encode_batches,
    logged_batches,
)

LOCK_SECONDS = 2.0  # a compaction holds the lock shortly
_COPIED = 1 << 22  # bytes read at once when a log is trimmed


class LiveLog:
    """The log of a bundle, open for writing.

    Raises Locked when another process writes it, CorruptBundle when it is damaged, and
    IncompatibleBundle when another version of Tusou wrote it. An incomplete last record, which was
    never acknowledged, is cut; `torn_bytes` tells its size. Not safe for threads, except `read`.
    """

    def __init__(self, root: Path, *, at_least: int = 0, wait: float = LOCK_SECONDS) -> None:
        """Open the log of the bundle at `root`, or create it; positions follow on `at_least`.

        Waits up to `wait` seconds for another process that has it.
        """
        self._folder = root / LIVE
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            sync(root)
        with ExitStack() as stack:
            self._lock = _take_lock(self._folder / LOCK, wait)
            stack.callback(os.close, self._lock)
            self._open(log_path(root), at_least)
            self._closing = stack.pop_all()

    def _open(self, path: Path, at_least: int) -> None:
        temporary_of(path).unlink(missing_ok=True)
        if not path.exists():
            write_file(path, pack_header(LogHeader(at_least, 0)))
        self._file = LogFile(path, writable=True)
        self._lasts, self._ends = array("q"), array("q")  # of all frames
        scan = self._file.scan()
        for frame in scan:
            self._lasts.append(frame.last)
            self._ends.append(frame.end)
        self.position = scan.last  # of the last record on the disk
        self._size = scan.end
        self.torn_bytes = scan.torn_bytes
        if self.torn_bytes:
            os.ftruncate(self._file.descriptor, self._size)
        os.fsync(self._file.descriptor)
        self._broken = False
        if self.position < at_least:
            self.trim(at_least)
        self._tell_position()

    @property
    def base(self) -> int:
        """The position up to which records have been cut."""
        return self._file.header.base

    @property
    def size(self) -> int:
        """The size of the log in bytes."""
        return self._size

    def append(self, batches: Sequence[Batch]) -> list[LoggedBatch]:
        """Store batches, each a record of its own, with one write and one fsync.

        They have the positions up to the new `position`. Raises StorageFull, with none of them
        stored, when the disk refuses; later appends can succeed.
        """
        if self._broken:
            raise StorageFull(
                f"{self._file.path} could not be restored after a fault of the disk; free space or "
                "check the disk, and start the service again"
            )
        parts = encode_batches(batches)
        frame = pack_frame(self.position + 1, len(batches), parts)
        payload_at = self._file.logical(self._size + len(frame) - sum(map(len, parts)))
        self._write(frame)
        self._size += len(frame)
        self.position += len(batches)
        self._lasts.append(self.position)
        self._ends.append(self._size)
        self._tell_position()
        return list(logged_batches(batches, parts, payload_at))

    def changes(self, after: int) -> Iterator[tuple[int, LoggedBatch]]:
        """Yield position and batch of all records behind `after`."""
        return self._file.changes(after, self.position)

    def read(self, span: ContentSpan) -> bytes:
        """Return the content of an item; fewer bytes if it has been cut. Safe in any thread."""
        return self._file.read(span)

    def trim(self, position: int) -> None:
        """Cut all records up to a position, which a published version holds.

        The rest is written to a new file that takes the name of the old one; OSError leaves the old
        one in use.
        """
        if position <= self.base:
            return
        cut = bisect_right(self._lasts, position)
        begin = self._ends[cut - 1] if cut else HEADER_BYTES
        # Frames are kept whole, so the first one may begin before the position.
        base = position if cut == len(self._lasts) else min(position, self._first(cut) - 1)
        new = LogHeader(base, self._file.logical(begin))
        path = self._file.path
        temporary = temporary_of(path)
        try:
            with create_file(temporary) as file:
                file.write(pack_header(new))
                for start in range(begin, self._size, _COPIED):
                    length = min(_COPIED, self._size - start)
                    file.write(os.pread(self._file.descriptor, length, start))
            trimmed = LogFile(temporary, writable=True)
            trimmed.path = path
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        removed = begin - HEADER_BYTES
        self._file = trimmed
        self._size -= removed
        self._lasts = self._lasts[cut:]
        self._ends = array("q", (end - removed for end in self._ends[cut:]))
        self.position = max(self.position, position)
        sync(self._folder)

    def close(self) -> None:
        """Release the log to other processes."""
        self._closing.close()
        self._broken = True

    def _first(self, number: int) -> int:
        """Return the position of a frame's first record."""
        return (self._lasts[number - 1] if number else self.base) + 1

    def _write(self, data: bytes) -> None:
        self._broken = True  # until the file is known to end with a complete frame
        view, written = memoryview(data), 0
        try:
            while written < len(data):
                offset = self._size + written
                written += os.pwrite(self._file.descriptor, view[written:], offset)
            os.fsync(self._file.descriptor)
        except OSError as error:
            self._restore()
            raise StorageFull(
                f"{self._file.path}: {error.strerror}; the change was not stored: free space or "
                "check the disk"
            ) from None
        self._broken = False

    def _restore(self) -> None:
        """Cut what a failed write has left, so that later writes can succeed.

        A descriptor whose fsync has failed reports nothing at the next one: another one is used.
        """
        with suppress(OSError):
            file = LogFile(self._file.path, writable=True)
            os.ftruncate(file.descriptor, self._size)
            os.fsync(file.descriptor)
            self._file, self._broken = file, False

    def _tell_position(self) -> None:
        with suppress(OSError):  # then a compaction leaves the last changes in the log
            write_mark(self._lock, self.position)


def _take_lock(path: Path, wait: float) -> int:
    """Return a descriptor that holds the lock; Locked when another process keeps it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    give_up = monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() < give_up:
                sleep(0.05)
                continue
            os.close(descriptor)
            raise Locked(
                f"another process changes {path.parent.parent}; one service at a time can have "
                "TUSOU_LIVE=on"
            ) from None
        return descriptor
