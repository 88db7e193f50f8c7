"""AltCLIP and MetaCLIP 2 by Tusou's own towers, beside transformers itself."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.family_checks import (
    LibraryVectors,
    check_commands,
    check_invariance,
    check_parity,
)
from tests.models.tiny import CONTEXT, SIDE
from tests.models.tiny_multilingual import save_tiny_alt_clip, save_tiny_metaclip2
from tusou.core.errors import BadModel
from tusou.encoders import find_weights, resolve_encoder

pytestmark = pytest.mark.models

SAVED = {"alt_clip": save_tiny_alt_clip, "metaclip2": save_tiny_metaclip2}


@pytest.fixture(scope="module", params=sorted(SAVED))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SAVED[request.param](tmp_path_factory.mktemp(request.param) / "model")


def library_of(folder: Path) -> LibraryVectors:
    """Return the vectors of transformers, with its own tokenizer and processor on PIL images."""
    import torch
    from transformers import AutoModel, AutoTokenizer, CLIPImageProcessorPil

    module = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessorPil.from_pretrained(folder)

    def texts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        tokens = tokenizer(
            list(texts), padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt"
        )
        with torch.inference_mode():
            return _vectors(module.get_text_features(**tokens))

    def images(images: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
        pixels = processor(images=list(images), return_tensors="pt")
        with torch.inference_mode():
            return _vectors(module.get_image_features(**pixels))

    return LibraryVectors(texts, images)


def _vectors(output: Any) -> np.ndarray[Any, Any]:
    vectors: np.ndarray[Any, Any] = getattr(output, "pooler_output", output).numpy()
    return vectors


def test_vectors_are_those_of_transformers(model: Path) -> None:
    check_parity(model, library_of(model))


def test_a_vector_does_not_depend_on_its_batch(model: Path) -> None:
    check_invariance(model)


@pytest.mark.timeout(400)
def test_it_is_indexed_evaluated_and_served(model: Path, tmp_path: Path) -> None:
    check_commands(model, tmp_path)


@pytest.mark.parametrize(
    ("family", "architecture", "license_name", "non_commercial"),
    [
        ("altclip", "AltCLIPModel", "creativeml-openrail-m", False),
        ("metaclip2", "MetaClip2Model", "cc-by-nc-4.0", True),
    ],
)
def test_the_record_says_what_the_weights_do_not_show(
    tmp_path: Path, family: str, architecture: str, license_name: str, non_commercial: bool
) -> None:
    save = SAVED["alt_clip" if family == "altclip" else family]
    record = resolve_encoder(find_weights(str(save(tmp_path / "m"))), "text", "cpu").record
    assert record is not None
    assert (record.family, record.architecture) == (family, architecture)
    assert (record.license, record.is_non_commercial) == (license_name, non_commercial)
    assert (record.tokenizer, record.context_length) == ("XLMRobertaTokenizer", CONTEXT)
    assert (record.padding, record.lower_case) == ("longest", False)
    assert record.logit_scale == pytest.approx(np.exp(2.6592), rel=1e-6)
    transform = record.transform
    assert (transform.side, transform.fit, transform.rgb_first) == (SIDE, "crop", True)


def test_images_of_another_size_than_the_tower_takes_are_refused(
    model: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(model, changed)
    settings = json.loads((changed / "preprocessor_config.json").read_text())
    settings |= {"size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48}}
    (changed / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(BadModel, match="prepares images of 48 pixels for a tower that takes 32"):
        resolve_encoder(find_weights(str(changed)), "text", "cpu")
