"""Formats of image bytes: media types, signatures and suffixes."""

import base64
import textwrap

import pytest
from drawing import image_bytes
from PIL import Image

from tusou.core.errors import BadImage
from tusou.images.formats import (
    AVIF,
    HEIC,
    IMAGE_FORMATS,
    IMAGE_SUFFIXES,
    JPEG_XL,
    TIFF,
    content_type,
    decode_image,
    find_format,
)

READ_BY_PILLOW = [form for form in IMAGE_FORMATS if form not in (HEIC, JPEG_XL)]


@pytest.mark.parametrize("form", READ_BY_PILLOW, ids=lambda form: form.name)
def test_the_type_is_read_from_the_bytes(form) -> None:
    data = image_bytes(1, form=form.name)
    assert find_format(data) is form
    assert content_type(data) == form.media_type
    assert Image.MIME[form.name] in (form.media_type, "image/jp2")


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF\0\0\0\0WAVE", b"<svg onload=alert(1)>", b"GIF", b"\0\0\0\x18ftypmp42\0\0\0\0isom"],
)
def test_other_bytes_are_not_an_image_type(data: bytes) -> None:
    assert content_type(data) == "application/octet-stream"


@pytest.mark.parametrize(
    ("data", "form"),
    [
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", HEIC, id="heic"),
        pytest.param(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", HEIC, id="heic-of-a-general-brand"),
        pytest.param(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", AVIF, id="avif-of-a-general-brand"),
        pytest.param(b"\xff\x0a\0\0", JPEG_XL, id="jpeg-xl-codestream"),
        pytest.param(b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL, id="jpeg-xl"),
        pytest.param(b"MM\0*\0\0\0\x08", TIFF, id="big-endian-tiff"),
    ],
)
def test_formats_are_known_by_their_signature(data: bytes, form) -> None:
    assert find_format(data) is form


def test_pillow_gives_the_suffixes_to_the_same_formats() -> None:
    names = Image.registered_extensions()
    for form in READ_BY_PILLOW:
        assert {names[suffix] for suffix in form.suffixes} == {form.name}
        assert IMAGE_SUFFIXES.issuperset(form.suffixes)


ENCODED = base64.b64encode(bytes(range(256)) * 2 + b"\xff\xfe").decode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ENCODED, id="standard"),
        pytest.param(ENCODED.rstrip("="), id="unpadded"),
        pytest.param(ENCODED.replace("+", "-").replace("/", "_"), id="url-safe"),
        pytest.param("\r\n".join(textwrap.wrap(ENCODED, 76)) + "\r\n", id="lines"),
        pytest.param("data:image/png;base64," + ENCODED, id="data-uri"),
        pytest.param("DATA:;base64," + ENCODED.rstrip("="), id="data-uri-without-type"),
        pytest.param("data:image/svg+xml;charset=utf-8;base64,\n" + ENCODED, id="data-uri-charset"),
    ],
)
def test_the_forms_of_base64_that_tools_write(text: str) -> None:
    assert decode_image(text.encode()) == bytes(range(256)) * 2 + b"\xff\xfe"


@pytest.mark.parametrize(
    "text", ["!", "AAAAA", "AA=A", "AA==AAAA", "data:image/png,AAAA", "=", "QUJD%3D", "图"]
)
def test_other_texts_are_not_base64(text: str) -> None:
    with pytest.raises(BadImage, match="bad base64"):
        decode_image(text.encode())


@pytest.mark.parametrize("text", ["https://a.cn/1.jpg", "HTTP://a.cn/", "file:///1.jpg"])
def test_an_address_in_place_of_an_image_is_named(text: str) -> None:
    with pytest.raises(BadImage, match="an address, not an image in base64"):
        decode_image(text.encode())
