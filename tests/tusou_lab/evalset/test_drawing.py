"""The drawing keeps its probabilities, and the pairs that were drawn before."""

import numpy as np
import pytest
from tusou_lab.evalset.drawing import Drawing, best_ranks, draw, probabilities

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
    nothing = Drawing(depth=50, certain=0, ranked=0, unranked=0, seed=1)
    assert draw(nothing, "裙", ITEMS, probabilities(nothing, {3: 1}, len(ITEMS))).tolist() == []


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


def test_another_system_keeps_the_pairs_drawn_before() -> None:
    alone = probabilities(DRAWING, best_ranks(ranks(0), 50), len(ITEMS))
    more = Drawing(50, 10, 40, 40, 7)
    both = probabilities(more, best_ranks(ranks(0, 20), 50), len(ITEMS))
    before = set(draw(DRAWING, "裙", ITEMS, alone).tolist())
    after = set(draw(more, "裙", ITEMS, both).tolist())
    kept = {key for key in before if both[key] >= alone[key]}
    assert kept <= after
    assert len(kept) > 0.9 * len(before)
    assert draw(DRAWING, "鞋", ITEMS, alone).tolist() != sorted(before)
