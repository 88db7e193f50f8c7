"""Query vectors of a sweep: no text is encoded twice, and cached vectors equal the encoder's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tusou_lab.sweep.prompts import ENSEMBLE, Prompt, QueryVectors

from tusou.encoders import (
    ModelWeights,
    TextEncoder,
    Tokens,
    Weights,
    find_weights,
    load_text_encoder,
)
from tusou.retrieval.query import Query
from tusou.text.negation import REFUSED_WEIGHT

TEXTS = ["红色连衣裙", "男士黑色皮鞋", "红色连衣裙", "手机壳"]
PLAIN, SHOP = Prompt.of(), Prompt.of("这是一个商品搜索：{query}")
BOTH = Prompt(ENSEMBLE, (*PLAIN.templates, *SHOP.templates))


class CountingLoader:
    """Loads real encoders and records every text they encode."""

    def __init__(self) -> None:
        self.encoded: list[tuple[str, str]] = []  # (precision, text)

    def __call__(self, weights: Weights, device: str, prompt: None, precision: str) -> TextEncoder:
        encoder = load_text_encoder(weights, "cpu", prompt, precision)
        prepare = encoder.prepare

        def counted(texts: Sequence[str]) -> Tokens:
            self.encoded += [(precision, text) for text in texts]
            return prepare(texts)

        encoder.prepare = counted
        return encoder


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> CountingLoader:
    loader = CountingLoader()
    monkeypatch.setattr("tusou_lab.sweep.prompts.load_text_encoder", loader)
    return loader


def test_no_text_is_encoded_twice(
    tmp_path: Path, tiny_model: Path, counting: CountingLoader
) -> None:
    weights = find_weights(str(tiny_model))
    for _ in range(2):  # the second round reads the files of the first
        vectors = QueryVectors(tmp_path, ModelWeights((weights,)))
        for prompt in (PLAIN, SHOP, BOTH, PLAIN):
            vectors.encode_texts(TEXTS, prompt, "fp32")
        vectors.encode_texts(TEXTS, PLAIN, "bf16")
    QueryVectors(tmp_path, ModelWeights((weights,))).encode_texts([*TEXTS, "雨伞"], PLAIN, "fp32")
    assert len(counting.encoded) == len(set(counting.encoded)) == 3 * 3 + 1
    assert counting.encoded[-1] == ("fp32", "雨伞")
    assert (vectors.cache.encoded, vectors.cache.cached) == (0, 6 * len(TEXTS))


def test_the_vector_of_a_query_combines_its_parts(tmp_path: Path, tiny_model: Path) -> None:
    weights = find_weights(str(tiny_model))
    vectors = QueryVectors(tmp_path, ModelWeights((weights,)))
    queries = [Query.of_text(text, 10) for text in ("不带碎花的裙子", "红色连衣裙")]
    positive, refused, plain = vectors.encode_texts(["裙子", "碎花", "红色连衣裙"], BOTH, "fp32")
    combined = positive - REFUSED_WEIGHT * refused
    expected = np.stack([combined / np.linalg.norm(combined), plain])
    np.testing.assert_allclose(vectors.encode_queries(queries, BOTH, "fp32"), expected, atol=1e-6)


def test_another_model_has_its_own_vectors(tmp_path: Path, tiny_model: Path) -> None:
    weights = find_weights(str(tiny_model))
    QueryVectors(tmp_path, ModelWeights((weights,))).encode_texts(TEXTS, PLAIN, "fp32")
    other = QueryVectors(tmp_path, ModelWeights((Weights(weights.path, weights.name, "0" * 64),)))
    other.encode_texts(TEXTS, PLAIN, "fp32")
    assert other.cache.encoded == 3


def test_vectors_equal_those_of_the_encoder(tmp_path: Path, tiny_model: Path) -> None:
    weights = find_weights(str(tiny_model))
    plain = load_text_encoder(weights, "cpu", None, "fp32")
    shop = load_text_encoder(weights, "cpu", SHOP.templates[0], "fp32")
    by_plain, by_shop = plain.encode(plain.prepare(TEXTS)), shop.encode(shop.prepare(TEXTS))
    mean = (by_plain + by_shop) / np.linalg.norm(by_plain + by_shop, axis=1, keepdims=True)
    vectors = QueryVectors(tmp_path, ModelWeights((weights,)))
    for _ in range(2):
        for prompt, expected in ((PLAIN, by_plain), (SHOP, by_shop), (BOTH, mean)):
            result = vectors.encode_texts(TEXTS, prompt, "fp32")
            assert result.dtype == np.float32
            np.testing.assert_allclose(result, expected, atol=1e-6)
