"""Image bytes: out of base64 text, and what kind of image they are."""

import binascii

from tusou.core.errors import BadImage

MAX_IMAGE_BYTES = 8 * 1024**2

_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def decode_image(encoded: bytes) -> bytes:
    """Turn base64 of either alphabet into bytes; BadImage on any character outside both."""
    try:
        return binascii.a2b_base64(encoded.translate(_URL_SAFE), strict_mode=True)
    except binascii.Error:
        raise BadImage("bad base64") from None


def content_type(data: bytes) -> str:
    """Name the media type that the first bytes show, whatever the file was called."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "application/octet-stream"


def check_bytes(size: int) -> None:
    """Raise BadImage for a file that nobody needs to read."""
    if not size:
        raise BadImage("empty image")
    if size > MAX_IMAGE_BYTES:
        raise BadImage(f"image over {MAX_IMAGE_BYTES // 1024**2} MiB")
