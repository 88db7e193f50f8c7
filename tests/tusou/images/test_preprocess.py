"""Image decoding: bit equality with cn_clip, refusals, and mutated files."""

import io
import random
import re
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cn_clip.clip.utils import image_transform
from PIL import Image

from tusou.core.errors import BadImage
from tusou.images.formats import MAX_IMAGE_BYTES
from tusou.images.part_limits import MAX_CHUNKS, MAX_SCANS
from tusou.images.preparation import AS_STORED, Preparation, is_transparent
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform


def drawn(mode: str, width: int, height: int) -> Image.Image:
    """Return noise over a gradient, with alpha or a palette if the mode has them."""
    noise = np.random.default_rng(width * height).integers(0, 80, (height, width, 4), np.uint8)
    noise += np.linspace(0, 170, width, dtype=np.uint8)[None, :, None]
    rgba = Image.fromarray(noise, "RGBA")
    if mode == "I;16":
        return Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    if mode == "P":
        return rgba.convert("RGB").quantize(64)
    if mode == "LAB":
        return Image.frombytes("LAB", (width, height), noise[..., :3].tobytes())
    return rgba if mode == "RGBA" else rgba.convert("RGB").convert(mode)


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def many_scans() -> bytes:
    """Return the last scan of a progressive JPEG often enough to be refused, and its end."""
    data = encoded(drawn("RGB", 60, 40), "JPEG", progressive=True)
    return data[data.rindex(b"\xff\xda") : -2] * (MAX_SCANS + 1) + b"\xff\xd9"


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that declares a size and holds few pixels."""
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
    "webp": lambda: encoded(drawn("RGB", 301, 199), "WEBP"),
    "webp-alpha-lossless": lambda: encoded(drawn("RGBA", 301, 199), "WEBP", lossless=True),
    "webp-animated": lambda: encoded(
        drawn("RGB", 50, 50), "WEBP", save_all=True, append_images=[drawn("L", 50, 50)]
    ),
    "gif": lambda: encoded(drawn("P", 301, 199), "GIF"),
    "gif-animated": lambda: encoded(
        drawn("P", 50, 50), "GIF", save_all=True, append_images=[drawn("L", 50, 50)]
    ),
    "gif-transparent-value": lambda: encoded(drawn("P", 301, 199), "GIF", transparency=3),
    "png-animated": lambda: encoded(
        drawn("RGB", 50, 50), "PNG", save_all=True, append_images=[drawn("RGB", 50, 51)]
    ),
    "bmp": lambda: encoded(drawn("RGB", 301, 199), "BMP"),
    "bmp-palette": lambda: encoded(drawn("P", 301, 199), "BMP"),
    "tiff": lambda: encoded(drawn("RGB", 301, 199), "TIFF"),
    "tiff-lzw-alpha": lambda: encoded(drawn("RGBA", 301, 199), "TIFF", compression="tiff_lzw"),
    "tiff-cmyk": lambda: encoded(drawn("CMYK", 301, 199), "TIFF"),
    "tiff-several": lambda: encoded(
        drawn("RGB", 50, 50), "TIFF", save_all=True, append_images=[drawn("RGB", 9, 9)]
    ),
    "avif": lambda: encoded(drawn("RGB", 301, 199), "AVIF", speed=10),
    "avif-alpha": lambda: encoded(drawn("RGBA", 301, 199), "AVIF", speed=10),
    "jpeg-2000": lambda: encoded(drawn("RGB", 301, 199), "JPEG2000"),
    "one-pixel": lambda: encoded(drawn("RGB", 1, 1), "PNG"),
    "one-pixel-high": lambda: encoded(drawn("RGB", 9000, 1), "PNG"),
    "one-pixel-wide": lambda: encoded(drawn("RGBA", 1, 9000), "PNG"),
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
    pixels = to_pixels(open_image(data), ImageTransform(size))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(expected))


def test_a_palette_with_alpha_is_converted_without_a_warning() -> None:
    to_pixels(
        open_image(IMAGES["png-palette-alpha"]()), ImageTransform(64)
    )  # a warning would be an error here


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty image", id="empty"),
        pytest.param(b"not an image", "not a readable image", id="text"),
        pytest.param(
            b"\xff\x0a\0\0", "JPEG XL is not read; convert it to JPEG or PNG", id="jpeg-xl"
        ),
        pytest.param(SMALL_JPEG[:-200], "truncated image", id="cut-jpeg"),
        pytest.param(SMALL_PNG[:-200], "truncated image", id="cut-png"),
        pytest.param(SMALL_JPEG[:20], "broken image header", id="cut-header"),
        pytest.param(b"\0" * (MAX_IMAGE_BYTES + 1), "image over 32 MiB", id="too-many-bytes"),
        pytest.param(png_header(65_536, 1), "image side over 65535 pixels", id="too-wide"),
        pytest.param(
            png_header(8001, 8000),
            "image of 64.1 megapixels, over the limit of 64",
            id="too-many-pixels",
        ),
        pytest.param(
            png_header(10_000, 10_000),
            "image of 100.0 megapixels, over the limit of 64",
            id="pillow-warns",
        ),
        pytest.param(
            png_header(50_000, 50_000),
            "image of 2500.0 megapixels, over the limit of 64",
            id="pillow-refuses",
        ),
        pytest.param(
            SMALL_JPEG[:-2] + many_scans(), f"JPEG of over {MAX_SCANS} scans", id="many-scans"
        ),
        pytest.param(
            SMALL_PNG[:33] + chunk(b"abCd", b"") * MAX_CHUNKS + SMALL_PNG[33:],
            f"PNG of over {MAX_CHUNKS} chunks",
            id="many-chunks",
        ),
        pytest.param(
            encoded(Image.fromarray(np.ones((4, 4), np.int32)), "TIFF"),
            "grey image of 32 bits or signed values, whose white is unknown",
            id="32-bit-grey",
        ),
        pytest.param(
            encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
            "grey image of 32 bits or signed values, whose white is unknown",
            id="float-grey",
        ),
        pytest.param(encoded(drawn("LAB", 4, 4), "TIFF"), "colour mode LAB is not read", id="lab"),
        pytest.param(png_header(4000, 4000), "truncated image", id="fewer-pixels-than-declared"),
    ],
)
def test_a_bad_image_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage) as caught:
        open_image(data)
    assert str(caught.value) == reason


def test_the_largest_png_may_have_chunks_of_1_kib() -> None:
    chunks = chunk(b"abCd", b"") * (MAX_IMAGE_BYTES // 1024)
    assert open_image(SMALL_PNG[:33] + chunks + SMALL_PNG[33:]).size == (60, 40)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_refuses_an_image_without_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(BadImage):
        open_image(png_header(*size))


@pytest.mark.filterwarnings("ignore")
def test_mutated_images_are_decoded_or_refused() -> None:
    generator = random.Random(7)
    seeds = [
        IMAGES[name]()
        for name in (
            "jpeg-cmyk",
            "png-palette-alpha",
            "webp",
            "png-grey",
            "gif-animated",
            "bmp",
            "avif",
            "jpeg-2000",
        )
    ]
    seeds += [IMAGES["tiff-lzw-alpha"](), encoded(drawn("I;16", 60, 40), "PNG")]
    for _ in range(1000):
        data = bytearray(generator.choice(seeds))
        for _ in range(generator.randint(1, 8)):
            data[min(int(generator.expovariate(0.01)), len(data) - 1)] = generator.randrange(256)
        try:
            pixels = to_pixels(open_image(bytes(data)), ImageTransform(32))
        except BadImage:
            continue
        assert pixels.shape == (32, 32, 3)


CASES = Path(__file__).parents[2] / "cases"


def case(name: str, preparation: Preparation = AS_STORED) -> np.ndarray:
    return to_pixels(
        open_image((CASES / name).read_bytes()), ImageTransform(64), preparation
    ).astype(int)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "JPEG2000"])
def test_grey_of_16_bits_is_scaled_to_8(file_format: str) -> None:
    grey = drawn("L", 301, 199)
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    expected = to_pixels(open_image(encoded(grey, "PNG")), ImageTransform(64))
    data = encoded(wide, file_format)
    np.testing.assert_array_equal(to_pixels(open_image(data), ImageTransform(64)), expected)


def test_grey_of_12_bits_and_of_16_inverted_bits_is_scaled_to_8() -> None:
    values = np.linspace(0, 255, 64, dtype=np.uint8).reshape(8, 8)
    inverted = encoded(Image.fromarray(~values.astype(np.uint16)), "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(np.asarray(open_image(inverted)), 0)
    twelve = tiff_of_12_bits(values.astype(np.uint16) << 4)
    np.testing.assert_array_equal(np.asarray(open_image(twelve)), values)


def tiff_of_12_bits(values: np.ndarray) -> bytes:
    """Return a TIFF of grey values up to 4095, two in three bytes."""
    bits = "".join(f"{value:012b}" for value in values.ravel())
    packed = int(bits, 2).to_bytes(len(bits) // 8)
    height, width = values.shape
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 277: 1, 278: height}
    tags |= {273: 8 + 2 + 12 * 9 + 4, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + b"\0" * 4 + packed


def test_a_grey_image_of_16_bits_is_not_white() -> None:
    difference = case("gray-16-bit-becomes-white.png") - case("upright-reference.png")
    assert case("gray-16-bit-becomes-white.png").min() < 100
    assert abs(difference.mean(axis=2)).mean() < 12


def test_a_turned_and_a_transparent_image_are_prepared_as_they_are_seen() -> None:
    reference = case("upright-reference.png")
    prepared = Preparation(upright=True, white=True)
    for name in ("exif-orientation-6.jpg", "transparent-background-becomes-black.png"):
        assert abs(case(name) - reference).mean() > 20
        assert abs(case(name, prepared) - reference).mean() < 4
    np.testing.assert_array_equal(case("upright-reference.png", prepared), reference)


@pytest.mark.parametrize("name", IMAGES)
def test_a_preparation_changes_only_turned_and_transparent_images(name: str) -> None:
    image = open_image(IMAGES[name]())
    same = np.array_equal(
        to_pixels(image, ImageTransform(64)),
        to_pixels(image, ImageTransform(64), Preparation(upright=True, white=True)),
    )
    assert same != (name == "jpeg-exif-turned" or is_transparent(image))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone(orientation: int) -> None:
    seen = drawn("RGB", 60, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = seen.transpose(UNDONE[orientation]) if orientation > 1 else seen
    turned = open_image(encoded(stored, "PNG", exif=exif))
    expected = to_pixels(seen, ImageTransform(32))
    np.testing.assert_array_equal(
        to_pixels(turned, ImageTransform(32), Preparation(upright=True)), expected
    )


# The transposition that each EXIF orientation stands for; `upright` reverses it.
UNDONE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def test_broken_exif_is_no_orientation() -> None:
    data = encoded(drawn("RGB", 60, 40), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        to_pixels(open_image(data), ImageTransform(32), Preparation(upright=True))


def test_heic_is_read_with_its_extra_and_named_without(monkeypatch) -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    data = encoded(drawn("RGB", 64, 48), "HEIF", quality=95)
    assert (
        abs(
            to_pixels(open_image(data), ImageTransform(32)).astype(int)
            - to_pixels(drawn("RGB", 64, 48), ImageTransform(32))
        ).mean()
        < 8
    )
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadImage, match=re.escape("HEIC: pip install 'tusou[heif]'")):
        open_image(data)


def test_a_larger_or_smaller_limit_can_be_set() -> None:
    data = encoded(drawn("L", 2000, 1500), "PNG")
    assert open_image(data, 3).size == (2000, 1500)
    with pytest.raises(BadImage, match=r"image of 3\.0 megapixels, over the limit of 2"):
        open_image(data, 2)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_many_frames_only_the_first_is_decoded(file_format: str) -> None:
    first, *others = [drawn("RGB", 40, side) for side in range(40, 60)]
    options = {"lossless": True} if file_format == "WEBP" else {}
    frames = [frame.resize((40, 40)) for frame in others]
    data = bytearray(encoded(first, file_format, save_all=True, append_images=frames, **options))
    expected = to_pixels(open_image(bytes(data)), ImageTransform(32))
    middle = len(data) // 2
    data[middle : middle + 200] = b"\xaa" * 200  # of a later frame
    np.testing.assert_array_equal(to_pixels(open_image(bytes(data)), ImageTransform(32)), expected)
