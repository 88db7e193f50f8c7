"""Media types of image bytes."""

import pytest
from drawing import image_bytes

from tusou.images.formats import content_type


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_the_type_is_read_from_the_bytes(form: str) -> None:
    assert content_type(image_bytes(1, form=form)) == f"image/{form.lower()}"


@pytest.mark.parametrize("data", [b"", b"RIFF\0\0\0\0WAVE", b"<svg onload=alert(1)>", b"GIF"])
def test_other_bytes_are_not_an_image_type(data: bytes) -> None:
    assert content_type(data) == "application/octet-stream"
