"""Judges of a set are compared where they graded the same pairs."""

import random
from dataclasses import replace

import pytest
from tusou_lab.evalset.agree import compare_judges
from tusou_lab.evalset.judgment import Judgment
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import PooledPair

from tusou.core.errors import BadDataset

QUERIES = [
    PlannedQuery(number, f"第{number}款", "款", "short" if number < 8 else "typo", "template")
    for number in range(1, 11)
]
ITEMS = [f"{number}.jpg#zhc#0" for number in range(6)]


def pooled() -> list[PooledPair]:
    """Pool three systems: the first puts items in order, the others shuffle them more and more."""
    pairs = []
    for query in QUERIES:
        draw = random.Random(query.query_id)
        orders = {"good": [*ITEMS], "fair": [*ITEMS], "poor": draw.sample(ITEMS, len(ITEMS))}
        orders["fair"][0], orders["fair"][2] = orders["fair"][2], orders["fair"][0]
        for item in ITEMS:
            ranks = {name: order.index(item) + 1 for name, order in orders.items()}
            pairs.append(PooledPair(query.query_id, item, 1.0, ranks))
    return pairs


def judged(name: str, shift: int = 0, repeat: int = 0) -> list[Judgment]:
    """Grade the items 3, 2, 1, 0, 0, 0, every third pair lower by `shift`."""
    grades = [3, 2, 1, 0, 0, 0]
    return [
        Judgment(
            query.query_id,
            item,
            name,
            max(0, grade - shift * (query.query_id % 3 == 0)),
            "",
            repeat,
        )
        for query in QUERIES
        for item, grade in zip(ITEMS, grades, strict=True)
    ]


def test_two_judges_and_a_repeat_are_compared() -> None:
    judgments = [*judged("clip"), *judged("person:李", 1), *judged("clip", 0, 1)]
    compared = {
        (each.first, each.second): each for each in compare_judges(QUERIES, pooled(), judgments, 2)
    }
    assert list(compared) == [("clip", "clip#2"), ("clip", "person:李"), ("clip#2", "person:李")]
    itself = compared["clip", "clip#2"]
    assert (itself.agreement.kappa, itself.tau) == (1, 1)
    people = compared["clip", "person:李"]
    assert people.agreement.pairs == 60
    assert people.agreement.equal == pytest.approx(1 - 3 * 3 / 60)
    assert 0 < people.agreement.kappa < people.agreement.weighted_kappa < 1
    assert people.tau == 1
    assert list(people.by_style) == ["short"]  # 18 pairs of slips are too few
    assert people.by_style["short"].pairs == 42
    assert people.by_concept["款"].confusion == people.agreement.confusion
    assert people.changed == 0


def test_judges_who_disagree_turn_the_systems_around() -> None:
    against = [
        Judgment(each.query_id, each.item_id, "other", 3 - (each.grade or 0))
        for each in judged("clip")
    ]
    (compared,) = compare_judges(QUERIES, pooled(), [*judged("clip"), *against], 2)
    assert compared.agreement.weighted_kappa < 0
    assert compared.tau is not None
    assert compared.tau < 1
    assert compared.changed is not None
    assert 0 < compared.changed <= 1


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(BadDataset, match="nothing to compare"):
        compare_judges(QUERIES, pooled(), judged("clip"), 2)


def test_a_grade_that_a_person_changed_counts_last() -> None:
    first = [replace(each, grade=0) for each in judged("person:李")]
    changed = [replace(each, repeat=1) for each in judged("person:李")]
    (compared,) = compare_judges(QUERIES, pooled(), [*judged("clip"), *first, *changed], 2)
    assert (compared.second, compared.agreement.equal) == ("person:李", 1)
