"""The file format of the log of live changes: a header, then frames that are appended.

Header: magic, format number, CRC-32 of both; base position, logical offset of the first frame,
CRC-32 of both. Frame: marker, payload length, first position, number of positions, CRC-32 of the
payload, CRC-32 of these fields; then the payload. All numbers are little-endian.

A frame is appended only after the one before it is on the disk. So only the last frame can be
incomplete; a fault anywhere before it is damage.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from tusou.core.errors import CorruptBundle, IncompatibleBundle

LOG_FORMAT = 1

_MAGIC = b"TUSOULOG"
_MARKER = b"\xf5LOG"  # never in UTF-8
_PREAMBLE = struct.Struct("<8sI")
_START = struct.Struct("<QQ")
_FRAME = struct.Struct("<4sQQII")
_CHECK = struct.Struct("<I")
HEADER_BYTES = _PREAMBLE.size + _START.size + 2 * _CHECK.size
FRAME_BYTES = _FRAME.size + _CHECK.size
_SEARCHED = 1 << 20  # bytes read at once when a later frame is looked for


@dataclass(frozen=True, slots=True)
class LogHeader:
    """The start of a log from which the first records may have been cut."""

    base: int  # the position before that of the first record
    start: int  # logical offset of the first frame; offsets never change when a log is trimmed


@dataclass(frozen=True, slots=True)
class Frame:
    """The records of one append, of consecutive positions."""

    first: int  # position of the first record
    count: int
    payload: bytes
    begin: int  # physical offset of the frame

    @property
    def last(self) -> int:
        """The position of the last record."""
        return self.first + self.count - 1

    @property
    def end(self) -> int:
        """The physical offset behind the frame."""
        return self.begin + FRAME_BYTES + len(self.payload)


def pack_header(header: LogHeader) -> bytes:
    """Return the bytes of a log's header."""
    return _checked(_PREAMBLE.pack(_MAGIC, LOG_FORMAT)) + _checked(
        _START.pack(header.base, header.start)
    )


def pack_frame(first: int, count: int, parts: list[bytes]) -> bytes:
    """Return the bytes of a frame whose payload is the parts joined."""
    check, length = 0, 0
    for part in parts:
        check, length = crc32(part, check), length + len(part)
    return b"".join([_checked(_FRAME.pack(_MARKER, length, first, count, check)), *parts])


class LogScan:
    """Reads the frames of a log in order, up to a last one that may be incomplete."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self.size = file.seek(0, 2)
        self.end = 0  # behind the last complete frame, when the iteration has ended
        self.header = self._read_header()
        self.end = HEADER_BYTES
        self.last = self.header.base  # position of the last complete record

    @property
    def torn_bytes(self) -> int:
        """The bytes of an incomplete last frame, after the iteration."""
        return self.size - self.end

    def __iter__(self) -> Iterator[Frame]:
        """Yield the complete frames; CorruptBundle for damage before the last one."""
        while (frame := self._next()) is not None:
            self.end, self.last = frame.end, frame.last
            yield frame

    def _next(self) -> Frame | None:
        self._file.seek(self.end)
        head = self._file.read(FRAME_BYTES)
        if len(head) < FRAME_BYTES:
            return None
        fields = _unpack_frame(head)
        if fields is None:
            self._refuse_if_frames_follow()
            return None
        length, first, count, check = fields
        if first != self.last + 1 or not count:
            raise self._damage("records out of order")
        begin, end = self.end, self.end + FRAME_BYTES + length
        if end > self.size:
            return None
        payload = self._file.read(length)
        if crc32(payload) != check or len(payload) != length:
            if end < self.size:
                raise self._damage("a record with a wrong checksum")
            return None
        return Frame(first, count, payload, begin)

    def _refuse_if_frames_follow(self) -> None:
        """Raise CorruptBundle if a complete frame header comes after a damaged one."""
        self._file.seek(self.end + 1)
        data = b""
        while chunk := self._file.read(_SEARCHED):
            data = data[-FRAME_BYTES:] + chunk
            offset = data.find(_MARKER)
            while offset >= 0:
                if _unpack_frame(data[offset : offset + FRAME_BYTES]) is not None:
                    raise self._damage("a damaged record before others")
                offset = data.find(_MARKER, offset + 1)

    def _read_header(self) -> LogHeader:
        self._file.seek(0)
        data = self._file.read(HEADER_BYTES)
        preamble = data[: _PREAMBLE.size + _CHECK.size]
        if not _is_checked(preamble) or not preamble.startswith(_MAGIC):
            raise self._damage("no header")
        number = _PREAMBLE.unpack_from(preamble)[1]
        if number != LOG_FORMAT:
            raise IncompatibleBundle(
                f"{self._path} has log format {number}, this Tusou reads {LOG_FORMAT}; compact the "
                "bundle with the Tusou that wrote it"
            )
        start = data[len(preamble) :]
        if len(data) < HEADER_BYTES or not _is_checked(start):
            raise self._damage("a damaged header")
        return LogHeader(*_START.unpack_from(start))

    def _damage(self, fault: str) -> CorruptBundle:
        return CorruptBundle(
            f"{self._path} is damaged at byte {self.end:,} of {self.size:,}: {fault}; restore the "
            "file, or move it away and lose the changes since the last compaction"
        )


def _checked(data: bytes) -> bytes:
    return data + _CHECK.pack(crc32(data))


def _is_checked(data: bytes) -> bool:
    body, check = data[: -_CHECK.size], data[-_CHECK.size :]
    return len(check) == _CHECK.size and _CHECK.unpack(check)[0] == crc32(body)


def _unpack_frame(head: bytes) -> tuple[int, int, int, int] | None:
    """Return payload length, first position, count and payload check; None if it is damaged."""
    if len(head) < FRAME_BYTES or not head.startswith(_MARKER) or not _is_checked(head):
        return None
    _, length, first, count, check = _FRAME.unpack_from(head)
    return length, first, count, check
