"""Equality of token ids with those behind the published figures of Chinese-CLIP."""

import json
import pickle
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cn_clip.clip import tokenize
from hypothesis import example, given
from hypothesis import strategies as st

from tusou.encoders.base import CONTEXT
from tusou.encoders.tokenizer import ClipTokenizer

PUBLISHED = Path(__file__).parents[4] / "shared/data/known_answers/tokenizer_golden.json"

TOKENIZER = ClipTokenizer()

# Checked by hand against the vocabulary: 101 is [CLS], 102 [SEP], 100 [UNK].
GOLDEN = {
    "": [101, 102],
    "红色碎花吊带裙": [101, 5273, 5682, 4810, 5709, 1396, 2372, 6170, 102],
    "“复古”": [101, 107, 1908, 1367, 107, 102],
    "ABC": [101, 8425, 102],
    "É\u200b": [101, 147, 102],
    "😀": [101, 100, 102],
    "２ｘ": [101, 8030, 13047, 102],
}


def ids_of(text: str) -> list[int]:
    return list(TOKENIZER.prepare([text]).ids[0])


@pytest.mark.parametrize("text", GOLDEN)
def test_ids_equal_those_checked_by_hand(text: str) -> None:
    assert ids_of(text) == GOLDEN[text]


def test_ids_equal_the_published_ones() -> None:
    if not PUBLISHED.exists():
        pytest.skip(f"needs {PUBLISHED.name} beside the checkout")
    cases = json.loads(PUBLISHED.read_text(encoding="utf-8"))["cases"]
    assert len(cases) >= 10
    for case in cases:
        assert ids_of(case["text"]) == case["cn_clip_reference_ids"], case["text"]


def cleaned(text: str) -> str:
    """Clean a text as cn_clip's evaluation does; its `tokenize` does not."""
    return text.lower().replace("“", '"').replace("”", '"')


@example(["[MASK][CLS][PAD]", "\ue000\uffff", "a" * 300, "İ\u0130", "\ud800", "‘裙’ … — ½ Ⅷ 龘"])
@given(st.lists(st.text(st.characters(), max_size=90), min_size=1, max_size=5))
def test_ids_equal_stock_for_any_text(texts: list[str]) -> None:
    expected = tokenize([cleaned(text) for text in texts]).numpy()
    tokens = TOKENIZER.prepare(texts)
    width = tokens.ids.shape[1]
    np.testing.assert_array_equal(tokens.ids, expected[:, :width])
    assert not expected[:, width:].any()
    assert tokens.ids[:, -1].any(), "one text must need the whole width"


CODE_POINTS = [  # ranges that tokenizers treat specially
    (0x00, 0x20), (0x20, 0x7E), (0x7F, 0xBF), (0xC0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF),
    (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xEFF), (0x1100, 0x11FF), (0x1AB0, 0x1AFF),
    (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x2E80, 0x303F), (0x302A, 0x302F),
    (0x3040, 0x33FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xD800, 0xDFFF), (0xE000, 0xF8FF), (0xF900, 0xFAFF), (0xFE00, 0xFFFF), (0x1D100, 0x1D1FF),
    (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF), (0x20000, 0x323AF), (0x2F800, 0x2FA1F), (0, 0x10FFFF),
]  # fmt: skip
PHRASES = ["[MASK]", "[CLS]", "[PAD]", "##红", "“新”", "ΑΣ ", "ΑΣΑ", "İ", "ﬁ", "\u2028", "\ufeff"]
KNOWN = [word.removeprefix("##") for word in TOKENIZER._vocabulary]


def hostile(count: int) -> Iterator[str]:
    """Draw texts of special characters, phrases, known words and very long words."""
    rng = random.Random(5)

    def part() -> str:
        kind = rng.random()
        if kind < 0.15:
            return rng.choice(PHRASES)
        if kind < 0.35:
            return "".join(rng.choices(KNOWN, k=rng.randint(1, 4)))
        if kind < 0.36:
            return rng.choice(KNOWN)[:1] * rng.randint(195, 205)
        low, high = rng.choice(CODE_POINTS)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6)))

    for _ in range(count):
        yield rng.choice(["", " "]).join(part() for _ in range(rng.randint(1, 9)))


def assert_equals_stock(texts: list[str]) -> None:
    """Compare all ids of every text, without the limit of the context."""
    stock = TOKENIZER._stock
    for text in texts:
        expected = stock.convert_tokens_to_ids(stock.tokenize(cleaned(text)))
        assert TOKENIZER._pieces(text.lower()) == expected, ascii(text)


@pytest.mark.timeout(1200)  # stock cn_clip is slow
@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_ids_equal_stock_for_hostile_texts(count: int) -> None:
    assert_equals_stock(list(hostile(count)))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ids_equal_stock_for_every_character() -> None:
    assert_equals_stock([f"a{chr(code)}b {chr(code)}" for code in range(0x110000)])


def test_the_cache_of_characters_is_bounded() -> None:
    tokenizer = ClipTokenizer()
    tokenizer.prepare(["".join(map(chr, range(0x20000, 0x2A000)))])
    assert len(tokenizer._spaced) == 30_000
    assert tokenizer.prepare(["裙"]).ids.tolist() == [[101, 6170, 102]]


def test_50_pieces_fit_and_51_are_truncated() -> None:
    tokens = TOKENIZER.prepare(["裙" * 50, "裙" * 51, "裙"])
    assert tokens.ids.shape == (3, CONTEXT)
    assert tokens.truncated == (False, True, False)
    np.testing.assert_array_equal(tokens.ids[0], tokens.ids[1])


def test_an_empty_batch_has_no_rows() -> None:
    tokens = TOKENIZER.prepare([])
    assert tokens.ids.shape[0] == 0
    assert tokens.truncated == ()


def test_tokens_can_be_pickled() -> None:
    tokens = TOKENIZER.prepare(["红色碎花吊带裙", "裙"])
    copy = pickle.loads(pickle.dumps(tokens))
    np.testing.assert_array_equal(copy.ids, tokens.ids)
    assert copy.truncated == tokens.truncated
