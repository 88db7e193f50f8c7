"""Image decoding: bit equality with cn_clip, refusals, and mutated files."""

import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from cn_clip.clip.utils import image_transform
from PIL import Image

from tusou.core.errors import BadImage
from tusou.images.formats import MAX_IMAGE_BYTES
from tusou.images.preprocess import MAX_IMAGE_SIDE, open_image, to_pixels


def drawn(mode: str, width: int, height: int) -> Image.Image:
    """Return noise over a gradient, with alpha or a palette if the mode has them."""
    noise = np.random.default_rng(width * height).integers(0, 80, (height, width, 4), np.uint8)
    noise += np.linspace(0, 170, width, dtype=np.uint8)[None, :, None]
    rgba = Image.fromarray(noise, "RGBA")
    if mode == "I;16":
        return Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    if mode == "P":
        return rgba.convert("RGB").quantize(64)
    return rgba if mode == "RGBA" else rgba.convert("RGB").convert(mode)


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that declares a size and holds few pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


SMALL_JPEG = encoded(drawn("RGB", 60, 40), "JPEG")
SMALL_PNG = encoded(drawn("RGB", 60, 40), "PNG")


IMAGES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(drawn("RGB", 301, 199), "JPEG"),
    "jpeg-grey": lambda: encoded(drawn("L", 301, 199), "JPEG"),
    "jpeg-cmyk": lambda: encoded(drawn("CMYK", 301, 199), "JPEG"),
    "jpeg-ycbcr-progressive": lambda: encoded(
        drawn("YCbCr", 77, 501), "JPEG", subsampling=2, progressive=True
    ),
    "jpeg-exif-turned": lambda: encoded(drawn("RGB", 90, 60), "JPEG", exif=_turned()),
    "jpeg-already-square": lambda: encoded(drawn("RGB", 224, 224), "JPEG"),
    "png": lambda: encoded(drawn("RGB", 33, 47), "PNG"),
    "png-one-bit": lambda: encoded(drawn("1", 301, 199), "PNG"),
    "png-grey": lambda: encoded(drawn("L", 301, 199), "PNG"),
    "png-grey-alpha": lambda: encoded(drawn("LA", 301, 199), "PNG"),
    "png-grey-transparent-value": lambda: encoded(drawn("L", 301, 199), "PNG", transparency=90),
    "png-rgb-transparent-value": lambda: encoded(
        drawn("RGB", 64, 64), "PNG", transparency=(9, 9, 9)
    ),
    "png-alpha": lambda: encoded(drawn("RGBA", 301, 199), "PNG"),
    "png-alpha-already-square": lambda: encoded(drawn("RGBA", 224, 224), "PNG"),
    "png-palette": lambda: encoded(drawn("P", 301, 199), "PNG"),
    "png-palette-transparent-value": lambda: encoded(drawn("P", 301, 199), "PNG", transparency=3),
    "png-palette-alpha": lambda: encoded(
        drawn("P", 301, 199), "PNG", transparency=bytes(range(0, 256, 4))
    ),
    "png-16-bit": lambda: encoded(drawn("I;16", 301, 199), "PNG"),
    "webp": lambda: encoded(drawn("RGB", 301, 199), "WEBP"),
    "webp-alpha-lossless": lambda: encoded(drawn("RGBA", 301, 199), "WEBP", lossless=True),
    "webp-animated": lambda: encoded(
        drawn("RGB", 50, 50), "WEBP", save_all=True, append_images=[drawn("L", 50, 50)]
    ),
    "one-pixel": lambda: encoded(drawn("RGB", 1, 1), "PNG"),
    "one-pixel-high": lambda: encoded(drawn("RGB", MAX_IMAGE_SIDE, 1), "PNG"),
    "one-pixel-wide": lambda: encoded(drawn("RGBA", 1, MAX_IMAGE_SIDE), "PNG"),
}


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("size", [224, 64])
@pytest.mark.parametrize("name", IMAGES)
def test_pixels_are_bit_equal_to_cn_clips(name: str, size: int) -> None:
    data = IMAGES[name]()
    squash_to_rgb = image_transform(size).transforms[:2]
    expected = Image.open(io.BytesIO(data))
    for step in squash_to_rgb:
        expected = step(expected)
    pixels = to_pixels(open_image(data), size)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(expected))


def test_a_palette_with_alpha_is_converted_without_a_warning() -> None:
    to_pixels(open_image(IMAGES["png-palette-alpha"]()), 64)  # a warning would be an error here


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty image", id="empty"),
        pytest.param(b"not an image", "not a readable JPEG, PNG or WebP image", id="text"),
        pytest.param(
            encoded(drawn("P", 9, 9), "GIF"), "not a readable JPEG, PNG or WebP image", id="gif"
        ),
        pytest.param(
            encoded(drawn("RGB", 9, 9), "TIFF"),
            "not a readable JPEG, PNG or WebP image",
            id="tiff",
        ),
        pytest.param(SMALL_JPEG[:-200], "truncated image", id="cut-jpeg"),
        pytest.param(SMALL_PNG[:-200], "truncated image", id="cut-png"),
        pytest.param(SMALL_JPEG[:20], "not a readable JPEG, PNG or WebP image", id="cut-header"),
        pytest.param(b"\0" * (MAX_IMAGE_BYTES + 1), "image over 8 MiB", id="too-many-bytes"),
        pytest.param(png_header(8193, 1), "image side over 8192 pixels", id="too-wide"),
        pytest.param(png_header(1, 100_000), "image side over 8192 pixels", id="1x100000"),
        pytest.param(png_header(4001, 4000), "image over 16 megapixels", id="17-megapixels"),
        pytest.param(png_header(10_000, 10_000), "image side over 8192 pixels", id="pillow-warns"),
        pytest.param(
            png_header(50_000, 50_000), "image side over 8192 pixels", id="pillow-refuses"
        ),
        pytest.param(png_header(4000, 4000), "truncated image", id="fewer-pixels-than-declared"),
    ],
)
def test_a_bad_image_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage) as caught:
        open_image(data)
    assert str(caught.value) == reason


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_refuses_an_image_without_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(BadImage):
        open_image(png_header(*size))


@pytest.mark.filterwarnings("ignore")
def test_mutated_images_are_decoded_or_refused() -> None:
    generator = random.Random(7)
    seeds = [IMAGES[name]() for name in ("jpeg-cmyk", "png-palette-alpha", "webp", "png-16-bit")]
    for _ in range(600):
        data = bytearray(generator.choice(seeds))
        for _ in range(generator.randint(1, 8)):
            data[min(int(generator.expovariate(0.01)), len(data) - 1)] = generator.randrange(256)
        try:
            pixels = to_pixels(open_image(bytes(data)), 32)
        except BadImage:
            continue
        assert pixels.shape == (32, 32, 3)
