"""Formats of image bytes: signatures, media types, file name suffixes, base64 and size limits."""

import binascii
import re
from dataclasses import dataclass

from tusou.core.errors import BadImage

MAX_IMAGE_BYTES = 32 * 1024**2  # a photo of 64 megapixels in a fine JPEG has about 25 MB

_DATA_URI = re.compile(rb"\s*data:[^,]{0,128};base64,", re.IGNORECASE)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """A format by its name in Pillow, its media type, and its suffixes, the usual one first."""

    name: str
    media_type: str
    suffixes: tuple[str, ...]


JPEG = ImageFormat("JPEG", "image/jpeg", (".jpg", ".jpeg", ".jfif", ".jpe"))
PNG = ImageFormat("PNG", "image/png", (".png", ".apng"))
WEBP = ImageFormat("WEBP", "image/webp", (".webp",))
GIF = ImageFormat("GIF", "image/gif", (".gif",))
BMP = ImageFormat("BMP", "image/bmp", (".bmp",))
TIFF = ImageFormat("TIFF", "image/tiff", (".tif", ".tiff"))
AVIF = ImageFormat("AVIF", "image/avif", (".avif",))
JPEG2000 = ImageFormat("JPEG2000", "image/jp2", (".jp2", ".j2k", ".jpx", ".j2c"))
HEIC = ImageFormat("HEIF", "image/heic", (".heic", ".heif"))  # read with the extra `heif`
JPEG_XL = ImageFormat("JXL", "image/jxl", (".jxl",))  # known, to be named in the error

IMAGE_FORMATS = (JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, JPEG2000, HEIC, JPEG_XL)
# Suffixes of files that are taken for images, in lower case; the bytes decide the format.
IMAGE_SUFFIXES = frozenset(suffix for form in IMAGE_FORMATS for suffix in form.suffixes)

_SIGNATURES: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"BM", BMP),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG2000),
    (b"\xff\x4f\xff\x51", JPEG2000),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
    (b"\xff\x0a", JPEG_XL),
)
# Brands of ISO media files; a file of the general brand `mif1` names its own among the others.
_BRANDS = {b"avif": AVIF, b"avis": AVIF} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"),
    HEIC,
)


def find_format(data: bytes) -> ImageFormat | None:
    """Return the format that the first bytes show, whatever the file's name; None if unknown."""
    for signature, image_format in _SIGNATURES:
        if data.startswith(signature):
            return image_format
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4]), 256)
        brands = [data[8:12], *(data[start : start + 4] for start in range(16, end, 4))]
        formats = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return AVIF if AVIF in formats else next(iter(formats), None)
    return None


def content_type(data: bytes) -> str:
    """Return the media type by the first bytes, not by the file's name."""
    image_format = find_format(data)
    return image_format.media_type if image_format else _UNKNOWN_TYPE


def decode_image(encoded: bytes) -> bytes:
    """Decode base64 in the forms that tools write; BadImage for other characters.

    The alphabet is the standard or the URL-safe one, with or without padding; there may be line
    breaks, and a data URI's scheme and media type before it, which is not read.
    """
    if prefix := _DATA_URI.match(encoded):
        encoded = encoded[prefix.end() :]
    encoded = encoded.translate(_URL_SAFE, delete=b" \t\r\n")
    padding = b"=" * (-len(encoded) % 4)
    try:
        return binascii.a2b_base64(encoded + padding, strict_mode=True)
    except binascii.Error:
        is_address = encoded[:8].lower().startswith((b"http:", b"https:", b"file:"))
        raise BadImage(
            "an address, not an image in base64" if is_address else "bad base64"
        ) from None


def check_image_size(size: int) -> None:
    """Raise BadImage for a file size, in bytes, of 0 or over the limit."""
    if not size:
        raise BadImage("empty image")
    if size > MAX_IMAGE_BYTES:
        raise BadImage(f"image over {MAX_IMAGE_BYTES // 1024**2} MiB")
