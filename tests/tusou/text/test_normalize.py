"""Normalisation of queries: control characters, blank queries and length limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusou.core.errors import EmptyQuery, QueryTooLong
from tusou.text.normalize import (
    MAX_QUERY_BYTES,
    MAX_QUERY_CHARS,
    normalize_query,
)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        pytest.param("红色碎花吊带裙", "红色碎花吊带裙", id="unchanged"),
        pytest.param("  圣诞 抱枕\u3000", "圣诞 抱枕", id="outer-spaces-go-inner-stay"),
        pytest.param("男士\t黑色\r\n皮鞋", "男士 黑色  皮鞋", id="tab-and-line-breaks"),
        pytest.param("\x00裙\x1f\x7f子\x9f", "裙  子", id="c0-and-c1"),
        pytest.param("裙\ud83d子", "裙 子", id="lone-surrogate"),
        pytest.param("２ＸＬ ½ ﬁ é e\u0301", "２ＸＬ ½ ﬁ é e\u0301", id="no-nfkc-no-nfc"),
        pytest.param("“复古”连衣裙", "“复古”连衣裙", id="curly-quotes-stay"),
        pytest.param(
            "👨\u200d👩\u200d👧亲子装", "👨\u200d👩\u200d👧亲子装", id="zero-width-joiners-stay"
        ),
        pytest.param("\u202e裙", "\u202e裙", id="bidi-override-with-text"),
        pytest.param("\u0301", "\u0301", id="a-combining-mark-is-visible"),
    ],
)
def test_controls_become_spaces_and_the_rest_stays(text: str, query: str) -> None:
    assert normalize_query(text) == query


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(" \u3000\u2003\u2028", id="spaces"),
        pytest.param("\x00\x01\t\n\x85\x9f", id="controls"),
        pytest.param("\u200b\u200d\u202e\ufeff", id="format-characters"),
        pytest.param("\u200b \u200b", id="format-characters-and-a-space"),
        pytest.param("\ud800\udfff", id="surrogates"),
        pytest.param(" " * 100_000, id="many-spaces"),
    ],
)
def test_refuses_a_query_without_visible_characters(text: str) -> None:
    with pytest.raises(EmptyQuery):
        normalize_query(text)


@pytest.mark.parametrize("char", ["a", "裙", "𠮷"], ids=["ascii", "cjk", "astral"])
def test_the_limit_is_512_characters(char: str) -> None:
    for count in (MAX_QUERY_CHARS - 1, MAX_QUERY_CHARS):
        assert normalize_query(char * count) == char * count
    with pytest.raises(QueryTooLong):
        normalize_query(char * (MAX_QUERY_CHARS + 1))


def test_the_byte_limit_is_512_of_the_widest_characters() -> None:
    assert (MAX_QUERY_CHARS, MAX_QUERY_BYTES) == (512, 2048)
    assert len(("𠮷" * MAX_QUERY_CHARS).encode()) == MAX_QUERY_BYTES


def test_limits_count_the_stripped_query() -> None:
    assert normalize_query(f"  {'裙' * 512}\n") == "裙" * 512


def test_very_many_combining_marks_are_too_long() -> None:
    with pytest.raises(QueryTooLong):
        normalize_query("裙" + "\u0301" * 100_000)


@given(st.text(st.characters(), max_size=40))
def test_a_normalised_query_is_utf8_and_normalising_it_again_changes_nothing(text: str) -> None:
    try:
        query = normalize_query(text)
    except EmptyQuery:
        return
    assert query.encode().decode() == query
    assert normalize_query(query) == query
