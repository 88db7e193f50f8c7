"""CLIP as a folder of transformers, by Tusou's own towers, beside transformers itself."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.family_checks import (
    LibraryVectors,
    check_commands,
    check_invariance,
    check_near,
    check_parity,
    draw_images,
    encode_images,
)
from tests.models.tiny import TEXTS
from tests.models.tiny_clip import CLIP_CONTEXT, save_tiny_clip
from tests.recording import RepeatedWork
from tusou.core.errors import BadModel
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder, resolve_encoder
from tusou.encoders.torch.encoder import ClipTextEncoder
from tusou.images.preprocess import open_image, to_pixels

pytestmark = pytest.mark.models


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "model"
    return save_tiny_clip(folder, activation=request.param)


@pytest.fixture(scope="module")
def converts_here() -> Iterator[None]:
    """Convert in this process, for speed."""
    from tusou.encoders.openvino.convert import convert

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tusou.encoders.openvino.encoders._run_converter", convert)
        yield


def library_of(folder: Path) -> LibraryVectors:
    """Return the vectors of transformers, with its own tokenizer and processor on PIL images."""
    import torch
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    module = CLIPModel.from_pretrained(folder).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessorPil.from_pretrained(folder)

    def texts(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        tokens = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
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


@pytest.mark.usefixtures("converts_here")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_openvino_computes_the_same_vectors(model: Path, precision: str) -> None:
    weights = find_weights(str(model))
    for tower in ("text", "image"):
        assert resolve_encoder(weights, tower, "cpu", precision, "openvino").backend == "openvino"
    reference, other = (
        load_text_encoder(weights, "cpu", None, *choice)
        for choice in (("fp32", "torch"), (precision, "openvino"))
    )
    tokens = reference.prepare(TEXTS * 9)
    check_near(cosines(reference.encode(tokens), other.encode(tokens)), precision)
    alone = other.encode(reference.prepare(TEXTS[:1]))
    check_near(cosines(alone, other.encode(tokens)[:1]), precision)
    images = load_image_encoder(weights, "cpu", precision, "openvino")
    pixels = [to_pixels(open_image(data), images.transform) for data in draw_images(9)]
    expected = encode_images(model, draw_images(9))
    check_near(cosines(expected, images.encode(np.stack(pixels))), precision)


def test_padded_passes_as_on_a_gpu_give_the_same_vectors(model: Path) -> None:
    weights = find_weights(str(model))
    resolved = resolve_encoder(weights, "text", "cpu", "fp32", "torch")
    plain, recorded = ClipTextEncoder(resolved), ClipTextEncoder(resolved)
    recorded.record(RepeatedWork)
    assert recorded.recorded
    tokens = plain.prepare([*TEXTS, "red dog " * 5, "车"])
    np.testing.assert_allclose(recorded.encode(tokens), plain.encode(tokens), atol=1e-6)


def test_a_text_does_not_see_what_stands_after_it(model: Path) -> None:
    """The second text begins with the first: only what follows its tokens differs."""
    encoder = load_text_encoder(find_weights(str(model)), "cpu", None, "fp32", "torch")
    short, long = encoder.prepare(["red dress"]).ids, encoder.prepare(["red dress 车"]).ids
    end = short[0, -1]
    assert (short[0, :-1] == long[0, : short.shape[1] - 1]).all()
    cut = np.append(long[0, : short.shape[1] - 1], end)[None]
    np.testing.assert_array_equal(cut, short)
    together = encoder.prepare(["red dress", "red dress 车", "红色 dress"])
    vectors = encoder.encode(together)
    alone = [encoder.encode(encoder.prepare([text])) for text in ("red dress", "red dress 车")]
    np.testing.assert_allclose(vectors[:2], np.concatenate(alone), atol=2e-6)
    assert 1 - vectors[0] @ vectors[1] > 1e-3


@pytest.mark.timeout(400)
def test_it_is_indexed_evaluated_and_served(tmp_path: Path) -> None:
    check_commands(save_tiny_clip(tmp_path / "model"), tmp_path)


def test_the_record_says_what_the_files_say(model: Path) -> None:
    record = resolve_encoder(find_weights(str(model)), "text", "cpu").record
    assert record is not None
    assert (record.family, record.library, record.architecture) == (
        "clip",
        "transformers",
        "CLIPModel",
    )
    assert (record.tokenizer, record.context_length) == ("CLIPTokenizer", CLIP_CONTEXT)
    assert (record.transform.fit, record.transform.rgb_first) == ("crop", True)
    assert (record.license, record.is_non_commercial) == ("mit", False)
    assert record.logit_scale == pytest.approx(1 / 0.07, rel=1e-3)


def change(name: str, *path: str, to: object) -> Callable[[Path], None]:
    import json

    def apply(folder: Path) -> None:
        file = folder / name
        content = json.loads(file.read_text("utf-8"))
        *parents, last = path
        inner = content
        for parent in parents:
            inner = inner[parent]
        inner[last] = to
        file.write_text(json.dumps(content), "utf-8")

    return apply


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(
            change("config.json", "text_config", "hidden_act", to="relu"),
            "has the activation 'relu'",
            id="activation",
        ),
        pytest.param(
            change("config.json", "text_config", "num_attention_heads", to=3),
            "cannot be divided into 3 heads",
            id="heads",
        ),
        pytest.param(
            change("preprocessor_config.json", "crop_size", to={"height": 64, "width": 64}),
            "prepares images of 64 pixels for a tower that takes 32",
            id="image-size",
        ),
        pytest.param(
            change("preprocessor_config.json", "rescale_factor", to=1.0), "scaled by", id="scale"
        ),
        pytest.param(
            lambda folder: (folder / "preprocessor_config.json").unlink(),
            "does not say how its images are prepared",
            id="no-preprocessing",
        ),
        pytest.param(
            lambda folder: [(folder / name).unlink() for name in ("tokenizer.json",)],
            "has no tokenizer",
            id="no-tokenizer",
        ),
    ],
)
def test_refuses_a_folder_that_contradicts_itself(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    folder = save_tiny_clip(tmp_path / "model")
    damage(folder)
    with pytest.raises(BadModel, match=reason):
        load_text_encoder(find_weights(str(folder)), "cpu", None, "fp32", "torch")


def cosines(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.einsum("nd,nd->n", first, second)
