"""Warnings about collections of texts: by the share of unknown ones, and by words alone."""

import pytest

from tusou.encoders.tokenizer import ClipTokenizer
from tusou.encoders.unknown_language import warn_of_language

CHINESE = [f"第{number}号碎花连衣裙" for number in range(38)]
RUSSIAN = ["Собака бежит по снегу", "белые кроссовки"]


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        (CHINESE, 0),
        ([*CHINESE, RUSSIAN[0]], 0),  # one of 39: any log has such a query
        ([*CHINESE, *RUSSIAN], 2),
        ([*CHINESE[:2], "nike", "zara"], 0),
        (["red dress", "nike", "红裙"], 2),  # most are words that may be names
        ([], 0),
    ],
)
def test_what_is_pointed_out(texts: list[str], count: int) -> None:
    warning = warn_of_language(texts, ClipTokenizer().unknown_share)
    assert warning is None if not count else f"{count} of {len(texts)} texts" in (warning or "")


def test_words_are_left_alone_where_the_tower_reads_english() -> None:
    def knows_all(texts: object) -> list[float]:
        return [0.0] * len(list(texts))  # type: ignore[call-overload]

    assert warn_of_language(["red dress", "nike"], knows_all) is None
