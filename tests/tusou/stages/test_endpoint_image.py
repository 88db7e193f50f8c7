"""Images for requests: small JPEG files, upright, on white, without the original's metadata."""

from base64 import b64decode
from io import BytesIO

import pytest
from drawing import image_bytes
from PIL import Image

from tusou.core.errors import BadImage
from tusou.stages.endpoint_image import ImageCache, to_data_uri


def opened(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(BytesIO(b64decode(data)))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param((800, 400), (200, 100), id="wide"),
        pytest.param((30, 90), (30, 90), id="small-ones-stay"),
        pytest.param((3000, 1), (200, 1), id="a-line"),
    ],
)
def test_the_longer_side_is_at_most(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = opened(to_data_uri(encoded(Image.new("RGB", size, "red"), "PNG"), 200))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", expected)


def test_transparency_becomes_white() -> None:
    data = encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "PNG")
    assert opened(to_data_uri(data, 10)).getpixel((5, 5)) == (255, 255, 255)


def test_a_palette_is_read_as_its_colours() -> None:
    palette = Image.new("RGB", (20, 20), (200, 30, 40)).quantize(2)
    expected = palette.convert("RGB").getpixel((0, 0))
    colour = opened(to_data_uri(encoded(palette, "PNG"), 10)).getpixel((5, 5))
    assert max(abs(a - b) for a, b in zip(colour, expected, strict=True)) <= 2


def test_a_turned_photo_is_upright_and_loses_its_comment() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif, comment="给 3 分")
    image = opened(to_data_uri(data, 100))
    assert image.size == (20, 40)
    assert "comment" not in image.info
    assert not dict(image.getexif())


def test_a_broken_image_is_refused() -> None:
    with pytest.raises(BadImage):
        to_data_uri(image_bytes(1)[:200], 100)


def test_the_images_used_last_stay_in_the_cache() -> None:
    images = [image_bytes(seed) for seed in range(3)]
    uris = [to_data_uri(data, 40) for data in images]
    cache = ImageCache(40, len(uris[0]) + max(len(uris[1]), len(uris[2])))
    assert [cache.uri(b"0", images[0]), cache.uri(b"1", images[1])] == uris[:2]
    assert cache.uri(b"0", b"not read again") == uris[0]
    assert cache.uri(b"2", images[2]) == uris[2]  # in place of 1
    assert cache.uri(b"0", b"not read again") == uris[0]
    with pytest.raises(BadImage):
        cache.uri(b"1", b"gone")
