"""Texts become the tokens that the published figures of Chinese-CLIP were made with."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from cn_clip.clip import tokenize
from hypothesis import example, given
from hypothesis import strategies as st

from tusou.encoders.tokens import CONTEXT, ClipTokenizer

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
def test_golden(text: str) -> None:
    assert ids_of(text) == GOLDEN[text]


def test_published_golden() -> None:
    if not PUBLISHED.exists():
        pytest.skip(f"needs {PUBLISHED.name} beside the checkout")
    cases = json.loads(PUBLISHED.read_text(encoding="utf-8"))["cases"]
    assert len(cases) >= 10
    for case in cases:
        assert ids_of(case["text"]) == case["cn_clip_reference_ids"], case["text"]


def cleaned(text: str) -> str:
    """Clean as cn_clip's evaluation does and its `tokenize` does not."""
    return text.lower().replace("“", '"').replace("”", '"')


@example(["[MASK][CLS][PAD]", "\ue000\uffff", "a" * 300, "İ\u0130", "\ud800", "‘裙’ … — ½ Ⅷ 龘"])
@given(st.lists(st.text(st.characters(), max_size=90), min_size=1, max_size=5))
def test_equals_stock_on_any_text(texts: list[str]) -> None:
    expected = tokenize([cleaned(text) for text in texts]).numpy()
    tokens = TOKENIZER.prepare(texts)
    width = tokens.ids.shape[1]
    np.testing.assert_array_equal(tokens.ids, expected[:, :width])
    assert not expected[:, width:].any()
    assert tokens.ids[:, -1].any(), "one text must need the whole width"


def test_50_pieces_fit_and_51_are_truncated() -> None:
    tokens = TOKENIZER.prepare(["裙" * 50, "裙" * 51, "裙"])
    assert tokens.ids.shape == (3, CONTEXT)
    assert tokens.truncated == (False, True, False)
    np.testing.assert_array_equal(tokens.ids[0], tokens.ids[1])


def test_an_empty_batch_has_no_rows() -> None:
    tokens = TOKENIZER.prepare([])
    assert tokens.ids.shape[0] == 0
    assert tokens.truncated == ()


def test_tokens_cross_process_borders() -> None:
    tokens = TOKENIZER.prepare(["红色碎花吊带裙", "裙"])
    copy = pickle.loads(pickle.dumps(tokens))
    np.testing.assert_array_equal(copy.ids, tokens.ids)
    assert copy.truncated == tokens.truncated
