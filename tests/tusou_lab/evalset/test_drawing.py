"""The drawing keeps its probabilities, and the pairs that were drawn before."""

import numpy as np
import pytest
from tusou_lab.evalset.drawing import Drawing, best_ranks, draw, probabilities

from tusou.core.errors import InvalidRequest

ITEMS = [f"{number}.jpg#zhc#0" for number in range(2000)]
DRAWING = Drawing(depth=50, certain=10, ranked=15, unranked=20, seed=7)


def ranks(*starts: int) -> list[np.ndarray]:
    return [np.arange(start, start + 80) for start in starts]


def test_the_best_rank_of_several_systems_counts() -> None:
    best = best_ranks(ranks(0, 40), 50)
    assert (best[0], best[45], best[89], len(best)) == (1, 6, 50, 90)


def test_probabilities_add_up_to_the_expected_numbers() -> None:
    best = best_ranks(ranks(0, 1000), 50)
    shares = probabilities(DRAWING, best, len(ITEMS))
    assert (shares[:10] == 1).all()
    assert (shares[1000:1010] == 1).all()
    below = [key for key, rank in best.items() if rank > 10]
    assert shares[below].sum() == pytest.approx(15)
    assert shares[below].min() > shares[1999] > 0
    assert shares.sum() == pytest.approx(20 + 15 + 20)
    assert (np.diff(shares[10:50]) < 0).all()


def test_more_than_there_is_takes_everything() -> None:
    plenty = Drawing(depth=50, certain=0, ranked=90, unranked=5000, seed=1)
    assert (probabilities(plenty, best_ranks(ranks(0), 50), 100) == 1).all()


def test_a_pair_is_drawn_as_often_as_its_probability_says() -> None:
    best = best_ranks(ranks(0), 50)
    shares = probabilities(DRAWING, best, len(ITEMS))
    drawn = np.zeros(len(ITEMS))
    for query in range(400):
        drawn[draw(DRAWING, f"第{query}条", ITEMS, shares)] += 1
    assert (drawn[:10] == 400).all()
    drawn /= 400
    assert drawn[10:50].sum() == pytest.approx(15, rel=0.03)
    assert drawn[50:].sum() == pytest.approx(20, rel=0.03)


def drawn(drawing: Drawing, best: dict[int, int], query: str) -> set[int]:
    shares = probabilities(drawing, best, len(ITEMS))
    return set(draw(drawing, query, ITEMS, shares).tolist())


def test_a_larger_budget_keeps_every_pair_and_another_system_shares_the_budget() -> None:
    first, both = best_ranks(ranks(0), 50), best_ranks(ranks(0, 20), 50)
    more, lost = Drawing(50, 10, 30, 40, 7), 0
    before = probabilities(DRAWING, first, len(ITEMS))
    after = probabilities(DRAWING, both, len(ITEMS))
    for query in ("裙", "鞋", "包", "帽", "袜"):
        alone, shared = drawn(DRAWING, first, query), drawn(DRAWING, both, query)
        assert alone <= drawn(more, first, query)
        assert {key for key in alone if after[key] >= before[key]} <= shared
        lost += len(alone - shared)
    assert lost > 0
    assert drawn(DRAWING, first, "裙") != drawn(DRAWING, first, "鞋")


@pytest.mark.parametrize(("certain", "ranked", "unranked"), [(10, 15, 0), (10, 0, 5), (50, 0, 0)])
def test_an_item_that_is_never_drawn_cannot_be_estimated(
    certain: int, ranked: float, unranked: float
) -> None:
    with pytest.raises(InvalidRequest, match="must be above 0"):
        Drawing(50, certain, ranked, unranked, 1)
