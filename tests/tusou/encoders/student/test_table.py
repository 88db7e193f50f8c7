"""Tables of tokens and pairs: sums by dictionaries are those of the matrix; damage is refused."""

from dataclasses import replace

import numpy as np
import pytest

from tusou.core.errors import BadModel
from tusou.encoders.base import Tokens
from tusou.encoders.student.table import (
    FeatureRows,
    TableEncoder,
    TokenTable,
    end_tokens,
    pair_keys,
)
from tusou.encoders.tokenizer import ClipTokenizer

TOKENIZER = ClipTokenizer()
TEXTS = ["红色连衣裙", "男士黑色皮鞋", "裙", "T恤 2023新款", "红色红色红色裙"]
DIM = 8


@pytest.fixture(scope="module")
def table() -> TokenTable:
    ids = TOKENIZER.prepare(TEXTS[:-2]).ids
    tokens, pairs = np.unique(ids), np.unique(pair_keys(ids))
    tokens = tokens[~np.isin(tokens, (0, *end_tokens(TOKENIZER)))]
    pairs = pairs[pairs > 0]
    drawn = np.random.default_rng(1).normal(size=(1 + len(tokens) + len(pairs), DIM))
    drawn[0] = 0
    bias = np.full(DIM, 0.1, np.float32)
    return TokenTable(tokens, pairs, drawn.astype(np.float16), bias, 0.5)


def test_a_vector_is_the_scaled_sum_of_its_rows(table: TokenTable) -> None:
    encoder = TableEncoder(table, TOKENIZER)
    tokens = encoder.prepare(TEXTS)
    features = FeatureRows(table.tokens, table.pairs, end_tokens(TOKENIZER))
    rows, lengths = features.find(tokens.ids), features.lengths(tokens.ids)
    sums = table.rows.astype(np.float32)[rows].sum(axis=1) / np.sqrt(lengths)[:, None]
    expected = sums + table.bias
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(tokens), expected, atol=1e-5)
    assert lengths.tolist() == [5, 6, 1, 6, 7]


def test_a_text_has_the_same_vector_alone(table: TokenTable) -> None:
    encoder = TableEncoder(table, TOKENIZER)
    together = encoder.encode(encoder.prepare(TEXTS))
    alone = [encoder.encode(encoder.prepare([text]))[0] for text in TEXTS]
    np.testing.assert_array_equal(together, alone)


def test_unknown_tokens_give_the_direction_of_the_bias(table: TokenTable) -> None:
    encoder = TableEncoder(table, TOKENIZER)
    vectors = encoder.encode(encoder.prepare(["鱻", "", "🙂"]))
    np.testing.assert_allclose(vectors, np.full((3, DIM), DIM**-0.5), atol=1e-6)


def test_tokens_without_a_row_are_unknown(table: TokenTable) -> None:
    encoder = TableEncoder(table, TOKENIZER)
    shares = encoder.unknown_share(["红色连衣裙", "red dress", "红色鱻鱻", "", "Привет"])
    assert shares == [0, 1, 0.5, 0, 1]


def test_the_order_of_tokens_matters(table: TokenTable) -> None:
    encoder = TableEncoder(table, TOKENIZER)
    one, other = encoder.encode(encoder.prepare(["连衣裙", "裙衣连"]))
    assert np.abs(one - other).max() > 0.01


def test_an_id_beyond_the_vocabulary_has_no_row(table: TokenTable) -> None:
    encoder = TableEncoder(table, TOKENIZER)
    first, last = end_tokens(TOKENIZER)
    vectors = encoder.encode(Tokens(np.array([[first, 10**6, last]]), (False,)))
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    "change",
    [
        {"rows": np.zeros((3, DIM), np.float16)},
        {"bias": np.zeros(DIM + 1, np.float32)},
        {"bias": np.full(DIM, np.nan, np.float32)},
        {"exponent": float("nan")},
        {"exponent": 2.0},
    ],
    ids=["rows", "dimension", "nan", "exponent", "large exponent"],
)
def test_parts_that_do_not_fit_are_refused(table: TokenTable, change: dict[str, object]) -> None:
    with pytest.raises(BadModel, match="distil the student again"):
        TableEncoder(replace(table, **change), TOKENIZER)  # type: ignore[arg-type]


def test_tokens_out_of_order_are_refused(table: TokenTable) -> None:
    with pytest.raises(BadModel):
        TableEncoder(replace(table, tokens=table.tokens[::-1]), TOKENIZER)
