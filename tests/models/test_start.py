"""A service of a cn_clip bundle starts the same with the extra `models` installed as without it."""

import re
from pathlib import Path

import pytest

from tests.browser.serving import index, serving
from tests.drawing import image_line
from tests.models.family_checks import START_SECONDS

pytestmark = [pytest.mark.models, pytest.mark.timeout(500)]

EXTRA = {
    "ftfy",
    "huggingface_hub",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "open_clip",
    "sentencepiece",
    "tokenizers",
    "transformers",
}


def test_serving_the_demo_model_imports_nothing_of_the_extra(tmp_path: Path) -> None:
    pool, bundle, log = tmp_path / "MR_test_imgs.tsv", tmp_path / "bundle", tmp_path / "log"
    pool.write_bytes(b"".join(image_line(f"{n}.jpg", n) for n in range(20)))
    index(pool, bundle)
    settings = {"TUSOU_DEVICE": "cpu", "TUSOU_IMAGE_QUERIES": "on"}
    with serving(
        bundle, log, start_seconds=START_SECONDS, PYTHONPROFILEIMPORTTIME="1", **settings
    ) as site:
        assert len(site.ids("红色碎花裙", 10)) == 10
    imported = set(re.findall(r"^import time:.*\| +([\w.]+)$", log.read_text(), re.MULTILINE))
    packages = {name.partition(".")[0] for name in imported}
    assert {"torch", "faiss", "cn_clip"} <= packages  # the text and image towers were loaded
    assert packages & EXTRA == set()
