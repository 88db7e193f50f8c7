"""Correct items that a pool lacks: counted, or refused with the reason when it lacks all."""

import pytest

from tusou.core.errors import BadDataset
from tusou.evaluation.pool_coverage import count_outside


def test_missing_items_are_counted() -> None:
    assert count_outside({1, 2, 3}, {1, 9}, "answers", "pool") == 2
    assert count_outside(set(), {1}, "answers", "pool") == 0


def test_both_kinds_of_ids_are_named() -> None:
    with pytest.raises(BadDataset) as raised:
        count_outside({30000001}, {"007", "30000001", "30000002"}, "a.jsonl", "pool.tsv")
    assert str(raised.value) == (
        "the ids of the correct items in a.jsonl are integers (such as 30000001), those of "
        'pool.tsv are strings (such as "007"): none can match; use the same kind of ids in both'
    )


@pytest.mark.parametrize(
    ("correct", "pool"), [({1, 2}, {3, 4}), ({"a.jpg"}, {"b.jpg"}), ({1, "a"}, {"b", "c"})]
)
def test_answers_of_another_pool_are_refused(correct: set[int | str], pool: set[int | str]) -> None:
    with pytest.raises(BadDataset, match=f"none of the {len(correct)} correct items of A .* in P"):
        count_outside(correct, pool, "A", "P")
