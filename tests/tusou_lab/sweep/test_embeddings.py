"""No text goes through a model twice; what is remembered is what the model gave."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tusou_lab.sweep.embeddings import QueryVectors
from tusou_lab.sweep.prompts import ENSEMBLE, Prompt

from tusou.encoders import TextEncoder, Tokens, Weights, find_weights, load_text_encoder

TEXTS = ["红色连衣裙", "男士黑色皮鞋", "红色连衣裙", "手机壳"]
PLAIN, SHOP = Prompt.of(None), Prompt.of("这是一个商品搜索：{query}")
BOTH = Prompt(ENSEMBLE, (*PLAIN.templates, *SHOP.templates))


class Counting:
    """Loads real encoders, and writes down every text that they are given."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []  # (precision, text)

    def __call__(self, weights: Weights, device: str, prompt: None, precision: str) -> TextEncoder:
        encoder = load_text_encoder(weights, "cpu", prompt, precision)
        prepare = encoder.prepare

        def counted(texts: Sequence[str]) -> Tokens:
            self.seen += [(precision, text) for text in texts]
            return prepare(texts)

        encoder.prepare = counted
        return encoder


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_nothing_is_encoded_twice(tmp_path: Path, tiny_model: Path, counting: Counting) -> None:
    weights = find_weights(str(tiny_model))
    for _ in range(2):  # the second process, so to say, finds the first one's files
        vectors = QueryVectors(tmp_path, weights, load=counting)
        for prompt in (PLAIN, SHOP, BOTH, PLAIN):
            vectors.of(TEXTS, prompt, "fp32")
        vectors.of(TEXTS, PLAIN, "bf16")
    QueryVectors(tmp_path, weights, load=counting).of([*TEXTS, "雨伞"], PLAIN, "fp32")
    assert len(counting.seen) == len(set(counting.seen)) == 3 * 3 + 1
    assert counting.seen[-1] == ("fp32", "雨伞")
    assert (vectors.kept.encoded, vectors.kept.remembered) == (0, 6 * len(TEXTS))


def test_another_model_is_another_matter(tmp_path: Path, tiny_model: Path) -> None:
    weights = find_weights(str(tiny_model))
    QueryVectors(tmp_path, weights).of(TEXTS, PLAIN, "fp32")
    other = QueryVectors(tmp_path, Weights(weights.path, weights.name, "0" * 64))
    other.of(TEXTS, PLAIN, "fp32")
    assert other.kept.encoded == 3


def test_vectors_are_the_encoder_s_in_order(tmp_path: Path, tiny_model: Path) -> None:
    weights = find_weights(str(tiny_model))
    plain = load_text_encoder(weights, "cpu", None, "fp32")
    shop = load_text_encoder(weights, "cpu", SHOP.templates[0], "fp32")
    one, other = plain.encode(plain.prepare(TEXTS)), shop.encode(shop.prepare(TEXTS))
    mean = (one + other) / np.linalg.norm(one + other, axis=1, keepdims=True)
    vectors = QueryVectors(tmp_path, weights)
    for _ in range(2):
        for prompt, expected in ((PLAIN, one), (SHOP, other), (BOTH, mean)):
            found = vectors.of(TEXTS, prompt, "fp32")
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=1e-6)
