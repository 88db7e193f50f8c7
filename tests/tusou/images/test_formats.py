"""What image bytes are called, whatever their file was."""

import pytest
from drawing import image_bytes

from tusou.images.formats import content_type


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_the_type_is_what_the_bytes_show(form: str) -> None:
    assert content_type(image_bytes(1, form=form)) == f"image/{form.lower()}"


@pytest.mark.parametrize("data", [b"", b"RIFF\0\0\0\0WAVE", b"<svg onload=alert(1)>", b"GIF"])
def test_anything_else_is_never_shown(data: bytes) -> None:
    assert content_type(data) == "application/octet-stream"
