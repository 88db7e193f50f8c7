"""Multilingual models by Tusou's own towers: in torch, by OpenVINO, and in passes as on a GPU."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.models.family_checks import (
    ROUNDING,
    check_near,
    draw_images,
    encode_images,
)
from tests.models.tiny import TEXTS
from tests.models.tiny_multilingual import (
    save_tiny_alt_clip,
    save_tiny_metaclip2,
    save_tiny_nllb_clip,
    save_tiny_open_clip,
    save_tiny_xlm_roberta_clip,
)
from tests.recording import RepeatedWork
from tusou.core.arrays import Vectors
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder, resolve_encoder
from tusou.encoders.library.base import open_library_tokenizer
from tusou.encoders.torch.encoder import ClipTextEncoder
from tusou.images.preprocess import open_image, to_pixels

pytestmark = pytest.mark.models

SAVED = {
    "alt_clip": save_tiny_alt_clip,
    "metaclip2": save_tiny_metaclip2,
    "open_clip": save_tiny_open_clip,
    "xlm_roberta": save_tiny_xlm_roberta_clip,
}
MORE_TEXTS = [*TEXTS, "</s> red <pad> dog", "&amp;lt; café  \u3000裙", "a\ud800b", "x" * 300]


@pytest.fixture(scope="module", params=sorted(SAVED))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SAVED[request.param](tmp_path_factory.mktemp(request.param) / "model")


@pytest.fixture(scope="module")
def converts_here() -> Iterator[None]:
    """Convert in this process, for speed."""
    from tusou.encoders.openvino.convert import convert

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tusou.encoders.openvino.encoders._run_converter", convert)
        yield


def cosines(first: Vectors, second: Vectors) -> Vectors:
    return (first * second).sum(axis=1)


def test_the_tokens_are_those_of_the_library(model: Path) -> None:
    """Of any text, but that padding is dropped where a text spells it, and what follows an end."""
    weights = find_weights(str(model))
    resolved = resolve_encoder(weights, "text", "cpu")
    assert resolved.record is not None
    library = open_library_tokenizer(weights, resolved.record)
    tokens = resolved.open_tokenizer().prepare(MORE_TEXTS)
    clean = [
        text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in MORE_TEXTS
    ]
    rows, truncated = library.tokenize(clean)
    for ids, row, text in zip(tokens.ids, rows, MORE_TEXTS, strict=True):
        expected = [token + 1 for token in row if token != library.pad_id or library.pad_id == 0]
        if not text.startswith("</s>"):
            assert ids[ids != 0].tolist() == expected
    assert tokens.truncated == tuple(truncated)


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
    tokens = reference.prepare(MORE_TEXTS * 5)
    check_near(cosines(reference.encode(tokens), other.encode(tokens)), precision)
    images = load_image_encoder(weights, "cpu", precision, "openvino")
    pixels = [to_pixels(open_image(data), images.transform) for data in draw_images(9)]
    expected = encode_images(model, draw_images(9))
    check_near(cosines(expected, images.encode(np.stack(pixels))), precision)


def test_padded_passes_as_on_a_gpu_give_the_same_vectors(model: Path) -> None:
    resolved = resolve_encoder(find_weights(str(model)), "text", "cpu", "fp32", "torch")
    plain, recorded = ClipTextEncoder(resolved), ClipTextEncoder(resolved)
    recorded.record(RepeatedWork)
    assert recorded.recorded
    tokens = plain.prepare(MORE_TEXTS)
    np.testing.assert_allclose(recorded.encode(tokens), plain.encode(tokens), atol=ROUNDING)


def test_nllb_stays_with_its_library_and_its_image_tower_does_not(tmp_path: Path) -> None:
    weights = find_weights(str(save_tiny_nllb_clip(tmp_path / "model")))
    backends = [resolve_encoder(weights, tower, "cpu").backend for tower in ("text", "image")]
    assert backends == ["open_clip", "torch"]
