"""Search queries built from text."""

import pytest

from tusou.retrieval.query import ItemPart, Query, TextPart, text_parts
from tusou.text.negation import REFUSED_WEIGHT


def test_a_text_is_one_part_of_weight_one() -> None:
    query = Query.of_text("红色连衣裙", 5, 10, frozenset({"7"}))
    assert query == Query((TextPart("红色连衣裙"),), 5, 10, frozenset({"7"}))
    assert query.understood is None


def test_a_refused_thing_is_subtracted_by_default() -> None:
    query = Query.of_text("不带拉链的包", 5)
    assert query.parts == (TextPart("包"), TextPart("拉链", -REFUSED_WEIGHT))
    assert query.understood is not None
    assert (query.understood.positive, query.understood.refused) == ("包", ("拉链",))


def test_excluded_items_and_those_of_parts_are_not_returned() -> None:
    parts = TextPart("裙"), ItemPart("3"), ItemPart("4", -0.5)
    assert Query(parts, 5, exclude=frozenset({"7", "3"})).excluded_ids == {"3", "4", "7"}
    assert Query.of_text("裙", 5, exclude=frozenset({"7"})).excluded_ids == {"7"}


def test_every_refused_thing_is_a_part() -> None:
    query = Query.of_text("不要红色和碎花的连衣裙", 5)
    assert query.texts == ("连衣裙", "红色", "碎花")


def test_without_interpretation_the_text_is_searched_as_written() -> None:
    query = Query.of_text("不带拉链的包", 5, interpret=False)
    assert query.parts == (TextPart("不带拉链的包"),)
    assert query.understood is None


def test_the_weight_of_a_text_scales_what_it_refuses() -> None:
    parts, _ = text_parts("不带拉链的包", 2.0)
    assert [part.weight for part in parts] == pytest.approx([2.0, -2.0 * REFUSED_WEIGHT])
