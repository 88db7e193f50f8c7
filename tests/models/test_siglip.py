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
    draw_images,
)
from tests.models.tiny import CONTEXT, TEXTS, save_tiny_siglip, save_tiny_siglip2
from tusou.encoders import (
    Tower,
    describe_encoder,
    find_weights,
    image_transform,
    load_text_encoder,
)
from tusou.encoders.library.base import open_library_model
from tusou.images.preprocess import open_image, to_pixels

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


def test_pixels_are_those_of_the_librarys_own_processor_bit_for_bit(model: Path) -> None:
    from transformers import SiglipImageProcessorPil

    processor = SiglipImageProcessorPil.from_pretrained(model)
    transform = image_transform(find_weights(str(model)))
    for data in draw_images(9):
        image = open_image(data).convert("RGB")
        theirs = processor(images=image, return_tensors="np", do_rescale=False, do_normalize=False)
        expected = np.asarray(theirs["pixel_values"][0]).transpose(1, 2, 0)
        np.testing.assert_array_equal(to_pixels(image, transform), expected)


def test_only_the_tower_that_is_needed_is_kept(model: Path) -> None:
    import torch

    weights = find_weights(str(model))
    record = describe_encoder(weights)
    assert record is not None
    cases: tuple[tuple[Tower, str, str], ...] = (
        ("text", "text", "vision"),
        ("image", "vision", "text"),
    )
    for tower, kept, dropped in cases:
        module = open_library_model(weights, record, (tower,), torch.float32).module
        names = {name.partition("_")[0] for name, _ in module.named_parameters()}
        assert kept in names
        assert dropped not in names


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precisions_stay_near(model: Path, precision: str) -> None:
    weights = find_weights(str(model))
    encoders = [load_text_encoder(weights, "cpu", None, name) for name in ("fp32", precision)]
    exact, near = (encoder.encode(encoder.prepare(TEXTS)) for encoder in encoders)
    assert (exact * near).sum(axis=1).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(near, axis=1), 1, atol=1e-6)
