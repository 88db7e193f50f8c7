"""A system that brought correct items which no other found seems worse when it is left out."""

import pytest
from tusou_lab.evalset.pool import PooledPair
from tusou_lab.evalset.pool_bias import SystemBias, measure_bias

PAIRS = [
    PooledPair(1, "a.jpg", 1.0, {"clip": 1, "字面": 3}),
    PooledPair(1, "b.jpg", 1.0, {"字面": 1}),
    PooledPair(1, "c.jpg", 1.0, {"字面": 2}),
    PooledPair(1, "d.jpg", 0.1, {}),
    PooledPair(2, "a.jpg", 0.5, {"字面": 11}),
    PooledPair(2, "b.jpg", 1.0, {"clip": 10}),
]
GRADES = {(1, "a.jpg"): 3, (1, "b.jpg"): 2, (1, "c.jpg"): 0, (1, "d.jpg"): 3, (2, "a.jpg"): 3}


def test_each_system_is_left_out_in_turn() -> None:
    clip, literal = measure_bias(PAIRS, GRADES, 2, 10)
    assert clip == SystemBias("clip", 1 / 20, 1 / 20)
    assert literal == SystemBias("字面", 2 / 20, 1 / 20)
    assert (clip.lost, literal.lost) == (0, pytest.approx(1 / 20))
    assert measure_bias([pair for pair in PAIRS if "clip" not in pair.ranks], GRADES, 2, 10) == []
    (_, strict) = measure_bias(PAIRS, GRADES, 3, 10)
    assert strict.lost == 0


def test_what_another_system_has_far_down_would_not_have_been_judged_for_certain() -> None:
    pairs = [PooledPair(1, "a.jpg", 1.0, {"clip": 1, "字面": 40})]
    clip, literal = measure_bias(pairs, {(1, "a.jpg"): 3, (9, "z.jpg"): 0}, 2, 10)
    assert (clip.precision, clip.left_out) == (1 / 20, 0)
    assert literal.precision == 0
