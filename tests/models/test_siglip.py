"""SigLIP and SigLIP 2 through transformers, beside transformers itself."""

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
from tests.models.tiny import CONTEXT, save_tiny_siglip, save_tiny_siglip2
from tusou.encoders import find_weights, load_text_encoder

pytestmark = [pytest.mark.models, pytest.mark.timeout(500)]

SAVED = {"siglip": save_tiny_siglip, "siglip2": save_tiny_siglip2}


@pytest.fixture(scope="module", params=sorted(SAVED))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SAVED[request.param](tmp_path_factory.mktemp(request.param) / "model")


def library_of(folder: Path) -> LibraryVectors:
    """Return the vectors of transformers, with its own tokenizer and processor on PIL images."""
    import torch
    from transformers import AutoModel, AutoTokenizer, SiglipImageProcessorPil

    module = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = SiglipImageProcessorPil.from_pretrained(folder)

    def texts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        # SigLIP 2 was trained on lower case, which its fixed models' tokenizer does not make.
        tokens = tokenizer(
            [text.lower() for text in texts],
            padding="max_length",
            max_length=CONTEXT,
            truncation=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            return module.get_text_features(**tokens).pooler_output.numpy()

    def images(images: Sequence[Image.Image]) -> np.ndarray[Any, Any]:
        pixels = processor(images=list(images), return_tensors="pt")
        with torch.inference_mode():
            return module.get_image_features(**pixels).pooler_output.numpy()

    return LibraryVectors(texts, images)


def test_vectors_are_those_of_transformers(model: Path) -> None:
    check_parity(model, library_of(model))


def test_a_vector_does_not_depend_on_its_batch(model: Path) -> None:
    check_invariance(model)


def test_it_is_indexed_evaluated_and_served(model: Path, tmp_path: Path) -> None:
    check_commands(model, tmp_path)


def test_the_share_of_unknown_tokens_is_that_of_the_vocabulary(model: Path) -> None:
    encoder = load_text_encoder(find_weights(str(model)), "cpu", None, "fp32")
    known, foreign, mixed = encoder.unknown_share(["纯棉碎花吊带裙", "ಕನ್ನಡ", "red ಕ"])
    assert (known, foreign >= 0.5, 0 < mixed < 1) == (0.0, True, True)
