"""Precision and recall on the written queries, and word boundaries of every part."""

import pytest
import rjieba

from benchmarks.refusal_sets import HALVES, RefusalCase, read_cases, score, share
from tusou.text.negation import parse_negation

CASES = {half: read_cases(half) for half in HALVES}
QUERIES = [case.query for half in HALVES for case in CASES[half]]


def _count(figures: dict[str, object], name: str) -> tuple[int, int]:
    value = figures[name]
    assert isinstance(value, dict)
    hits, _, total = value["count"].partition("/")
    return int(hits), int(total)


def test_the_halves_are_large_and_share_no_query() -> None:
    refusals = [case for half in HALVES for case in CASES[half] if case.refused]
    assert len(refusals) >= 300
    assert len(QUERIES) - len(refusals) >= 300
    assert len(set(QUERIES)) == len(QUERIES)
    for half in HALVES:
        assert sum(bool(case.refused) for case in CASES[half]) >= 140
        assert sum(not case.refused for case in CASES[half]) >= 140


@pytest.mark.parametrize(
    ("half", "precision", "recall", "whole"),
    [("tuning", 0.98, 0.96, 0.99), ("heldout", 0.95, 0.9, 0.98)],
)
def test_refusals_are_understood(half: str, precision: float, recall: float, whole: float) -> None:
    figures = score(CASES[half])
    for name, least in (
        ("precision", precision),
        ("recall", recall),
        ("plain left whole", whole),
    ):
        hits, total = _count(figures, name)
        assert hits >= least * total, (name, figures)


def test_every_expected_part_is_in_its_query() -> None:
    for half in HALVES:
        for case in CASES[half]:
            assert bool(case.refused) == bool(case.positive)
            assert all(thing in case.query for thing in case.refused), case


def test_no_part_ends_within_a_word() -> None:
    for query in QUERIES:
        understood = parse_negation(query)
        for thing in understood.refused if understood else ():
            _assert_whole(query, thing)


# The first word is a known thing, the second a longer word that begins with it.
@pytest.mark.parametrize(
    ("known", "word"),
    [
        *(
            ("帽", "帽檐"),
            ("帽", "帽子"),
            ("袖", "袖珍"),
            ("盖", "盖碗"),
            ("绳", "绳索"),
            ("花", "花生"),
        ),
        *(("黄", "黄梅戏"), ("红", "红茶"), ("糖", "糖果"), ("绒", "绒线"), ("扣", "扣肉")),
        *(("竹", "竹荪"), ("藤", "藤椒"), ("电", "电饭煲"), ("皮", "皮影"), ("圆", "圆珠笔")),
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        "男士无{}收音机",
        "收音机 不要{}",
        "不带{}的收音机",
        "收音机没有{}",
        "非{}收音机",
        "不要{}盒子",
    ],
)
def test_a_word_that_begins_with_a_known_thing_is_not_cut(known: str, word: str, form: str) -> None:
    understood = parse_negation(form.format(word))
    if understood:
        assert known not in understood.refused
        assert not any(part.startswith(word[len(known) :]) for part in understood.positive.split())


def test_the_interval_is_wilsons() -> None:
    # Newcombe (1998), table I: 81 of 263 and 0 of 20, method 3.
    assert share(81, 263) == {"share": 0.308, "interval": [0.2553, 0.3662], "count": "81/263"}
    assert share(0, 20) == {"share": 0.0, "interval": [0.0, 0.1611], "count": "0/20"}


def test_a_case_is_correct_only_with_both_parts() -> None:
    assert RefusalCase("不带拉链的包", "包", ("拉链",)).is_correct
    assert not RefusalCase("不带拉链的包", "包", ("链",)).is_correct
    assert not RefusalCase("不带拉链的包", "手提包", ("拉链",)).is_correct
    assert not RefusalCase("不带拉链的包", "", ()).is_correct
    assert not RefusalCase("无线耳机", "耳机", ("线",)).is_correct


def _assert_whole(query: str, thing: str) -> None:
    """Assert that no word of the dictionary crosses the end of a refused thing.

    Compounds of two words of the dictionary (真皮沙发) may be divided between them.
    """
    end = query.index(thing) + len(thing)
    start = 0
    for word in rjieba.cut(query):
        if start < end < start + len(word) and rjieba.has_word(word):
            first, second = word[: end - start], word[end - start :]
            assert len(second) > 1, (query, word)
            assert rjieba.has_word(first), (query, word)
            assert rjieba.has_word(second), (query, word)
        start += len(word)
