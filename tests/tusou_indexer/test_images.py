"""Builds from images of every format: what is taken, prepared or refused."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes
from PIL import Image
from pillow_heif import register_heif_opener
from tusou_indexer.build import BuildSpec, build

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import InvalidRequest

CASES = Path(__file__).parents[1] / "cases"


def vectors_of(bundle: Bundle) -> dict[str, np.ndarray]:
    return {str(bundle.ids.at(key)): bundle.vectors[key] for key in range(bundle.item_count)}


def test_the_bytes_decide_the_format_and_preparation_is_recorded(
    tmp_path: Path, tiny_model: Path
) -> None:
    register_heif_opener()
    pool = tmp_path / "pool"
    pool.mkdir()
    for form in ("GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "WEBP"):
        (pool / f"{form}.jpg").write_bytes(image_bytes(1, 64, form))
    for name in ("exif-orientation-6.jpg", "transparent-background-becomes-black.png"):
        (pool / name).write_bytes((CASES / name).read_bytes())
    (pool / "upright-reference.png").write_bytes((CASES / "upright-reference.png").read_bytes())
    (pool / "z.png").write_bytes(large())
    (pool / "z.jxl").write_bytes(b"\xff\x0a\0\0")
    spec = BuildSpec(str(pool), str(tiny_model), max_bad="2", workers=1, max_megapixels=1)
    report = build(spec, tmp_path / "plain", NoProgress())
    assert (report.counts.embedded, report.counts.failed) == (10, 2)
    plain = Bundle.open(tmp_path / "plain")
    lines = plain.path("failures.jsonl").read_text().splitlines()
    assert {json.loads(line)["file"]: json.loads(line)["reason"] for line in lines} == {
        "z.png": "image of 2.0 megapixels, over the limit of 1",
        "z.jxl": "JPEG XL is not read; convert it to JPEG or PNG",
    }
    assert plain.image("GIF")[1] == "image/gif"
    assert plain.image("HEIF")[1] == "image/heic"
    spec = BuildSpec(
        str(pool),
        str(tiny_model),
        max_bad="1",
        workers=1,
        max_megapixels=2,
        prepare="white,upright",
    )
    build(spec, tmp_path / "prepared", NoProgress())
    prepared = Bundle.open(tmp_path / "prepared")
    assert plain.manifest.preprocessing.startswith("cn_clip: ")
    assert prepared.manifest.preprocessing.startswith("upright,white; cn_clip: ")
    before, after = vectors_of(plain), vectors_of(prepared)
    reference = before["upright-reference"]
    for item_id in ("exif-orientation-6", "transparent-background-becomes-black"):
        assert after[item_id] @ reference > before[item_id] @ reference
    np.testing.assert_allclose(after["GIF"], before["GIF"], atol=1e-5)


def large() -> bytes:
    out = io.BytesIO()
    Image.new("L", (2000, 1000)).save(out, "PNG")
    return out.getvalue()


def test_an_unknown_preparation_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    spec = BuildSpec(str(tmp_path), str(tiny_model), prepare="upright,black")
    with pytest.raises(InvalidRequest, match="'black' is unknown; give none, upright or white"):
        build(spec, tmp_path / "b", NoProgress())
