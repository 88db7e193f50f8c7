"""Formats of image bytes: base64, media types and size limits."""

import binascii

from tusou.core.errors import BadImage

MAX_IMAGE_BYTES = 8 * 1024**2

_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def decode_image(encoded: bytes) -> bytes:
    """Decode base64 in the standard or URL-safe alphabet; BadImage for other characters."""
    try:
        return binascii.a2b_base64(encoded.translate(_URL_SAFE), strict_mode=True)
    except binascii.Error:
        raise BadImage("bad base64") from None


def content_type(data: bytes) -> str:
    """Return the media type by the first bytes, not by the file's name."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "application/octet-stream"


def check_image_size(size: int) -> None:
    """Raise BadImage for a file size, in bytes, of 0 or over the limit."""
    if not size:
        raise BadImage("empty image")
    if size > MAX_IMAGE_BYTES:
        raise BadImage(f"image over {MAX_IMAGE_BYTES // 1024**2} MiB")
