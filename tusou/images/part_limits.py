"""Limits for the parts of a file, counted before decoding: many small parts cost much time."""

import re

from tusou.core.errors import BadImage
from tusou.images.formats import JPEG, PNG, ImageFormat

# A decoder goes over all pixels once per scan. Encoders write up to a dozen.
MAX_SCANS = 100
# Encoders write 1 to 32 KiB into a chunk, so this many are more than a file of 32 MiB needs.
MAX_CHUNKS = 40_000

# In entropy-coded data 0xFF is followed by 0 or by a restart marker; 0xFF alone may repeat.
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"
_PNG_SIGNATURE_BYTES, _PNG_CHUNK_BYTES = 8, 12  # a chunk without its content


def check_parts(image_format: ImageFormat, data: bytes) -> None:
    """Raise BadImage for a file of far more parts than any encoder writes."""
    if image_format is JPEG and _has_more_scans(data, MAX_SCANS):
        raise BadImage(f"JPEG of over {MAX_SCANS} scans")
    if image_format is PNG and _has_more_chunks(data, MAX_CHUNKS):
        raise BadImage(f"PNG of over {MAX_CHUNKS} chunks")


def _has_more_scans(data: bytes, limit: int) -> bool:
    scans, position = 0, 2
    while scans <= limit and (marker := _JPEG_MARKER.search(data, position)):
        if marker[1] == _END_OF_IMAGE:
            return False
        scans += marker[1] == _START_OF_SCAN
        length = int.from_bytes(data[marker.end() : marker.end() + 2])
        position = marker.end() + max(length, 2)
    return scans > limit


def _has_more_chunks(data: bytes, limit: int) -> bool:
    position = _PNG_SIGNATURE_BYTES
    for _ in range(limit):
        position += _PNG_CHUNK_BYTES + int.from_bytes(data[position : position + 4])
        if position >= len(data):
            return False
    return True
