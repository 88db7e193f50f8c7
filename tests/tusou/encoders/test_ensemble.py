"""Ensembles of text towers whose tokenizers differ: tokens, caches and prompts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.tusou.encoders.families.folders import write_siglip
from tusou.core.arrays import Vectors
from tusou.core.unit_vectors import join_parts
from tusou.encoders import (
    TextEncoder,
    Tokens,
    describe_encoder,
    find_weights,
    load_text_encoder,
    without_prompt,
)
from tusou.encoders.base import join_tokens
from tusou.encoders.ensemble import EnsembleTextEncoder, tokenizer_key
from tusou.encoders.prompted import PromptedEncoder
from tusou.retrieval.query_cache import QueryCache

TEXTS = ["红色连衣裙", "a dog 跑", "", "café " * 30]
WEIGHTS = (0.5, 0.3, 0.2)
TEMPLATES = ("{query}", "一张照片：{query}")


class CharacterEncoder:
    """Counts the characters of a text; its tokens are their code points, at most 100."""

    dim, backend, precision = 32, "torch", "fp32"

    def prepare(self, texts: Sequence[str]) -> Tokens:
        rows = [list(map(ord, f"^{text}"))[:100] for text in texts]
        width = max(map(len, rows), default=0)
        padded = [row + [0] * (width - len(row)) for row in rows]
        truncated = tuple(len(text) > 99 for text in texts)
        return Tokens(np.array(padded, np.int64).reshape(len(rows), width), truncated)

    def warm_up(self) -> None:
        pass

    def encode(self, tokens: Tokens) -> Vectors:
        vectors = np.zeros((len(tokens.ids), self.dim), np.float32)
        for row, ids in enumerate(tokens.ids):
            np.add.at(vectors[row], ids[ids != 0] % self.dim, 1)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


@pytest.fixture(scope="module")
def towers(tiny_model: Path, second_model: Path) -> list[TextEncoder]:
    paths = (tiny_model, second_model)
    clip = [load_text_encoder(find_weights(str(path)), "cpu", None, "fp32") for path in paths]
    return [clip[0], CharacterEncoder(), clip[1]]


def ensemble(towers: Sequence[TextEncoder]) -> EnsembleTextEncoder:
    return EnsembleTextEncoder(towers, WEIGHTS, ["cn_clip", "characters", "cn_clip"])


def expected(towers: Sequence[TextEncoder], texts: Sequence[str]) -> Vectors:
    return join_parts([tower.encode(tower.prepare(texts)) for tower in towers], WEIGHTS)


@pytest.mark.parametrize("templates", [(), TEMPLATES])
def test_every_tower_reads_the_tokens_of_its_own_tokenizer(
    towers: list[TextEncoder], templates: tuple[str, ...]
) -> None:
    members = [PromptedEncoder(each, *templates) if templates else each for each in towers]
    both = ensemble(members)
    tokens = both.prepare(TEXTS)
    assert len(tokens.widths) == 2  # the two towers of cn_clip share theirs
    assert tokens.ids.shape == (4, sum(tokens.widths))
    np.testing.assert_allclose(both.encode(tokens), expected(members, TEXTS), atol=1e-6)
    assert tokens.truncated == (False, False, False, True)
    plain = without_prompt(both)
    np.testing.assert_allclose(
        plain.encode(plain.prepare(TEXTS)), expected(towers, TEXTS), atol=1e-6
    )
    assert both.prepare([]).ids.shape == (0, 0)


def test_cached_and_new_texts_of_a_batch_have_their_own_vectors(towers: list[TextEncoder]) -> None:
    both = ensemble([PromptedEncoder(each, *TEMPLATES) for each in towers])
    cache = QueryCache(both, 10)
    cache.encode(both.prepare(TEXTS[1:3]))
    vectors, cache_hits = cache.encode(both.prepare([TEXTS[3], *TEXTS]))
    assert cache_hits == 2
    np.testing.assert_allclose(vectors[1:], both.encode(both.prepare(TEXTS)), atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[4])


def test_models_share_tokens_only_if_they_clean_texts_alike(tmp_path: Path) -> None:
    record = describe_encoder(find_weights(str(write_siglip(tmp_path / "m"))))
    assert record is not None
    key = tokenizer_key(record)
    assert tokenizer_key(record.model_copy(update={"license": "mit", "logit_scale": 2.0})) == key
    for field, value in {
        "family": "open_clip",
        "tokenizer": "T5Tokenizer",
        "tokenizer_sha256": "0" * 64,
        "context_length": 64,
        "padding": "longest",
        "lower_case": False,
    }.items():
        assert tokenizer_key(record.model_copy(update={field: value})) != key
    assert tokenizer_key(record.model_copy(update={"family": "chinese-clip"})) == tokenizer_key(
        None
    )


def test_a_key_tells_the_tokenizers_apart_and_ignores_padding() -> None:
    def tokens(first: list[int], second: list[int]) -> Tokens:
        return join_tokens([Tokens(np.array([ids]), (False,)) for ids in (first, second)])

    (key,) = tokens([5, 6], [7]).keys()
    assert tokens([5, 6, 0, 0], [7, 0]).keys() == [key]
    assert tokens([5], [6, 7]).keys() != [key]
    assert tokens([5, 6, 7], [0]).keys() != [key]
