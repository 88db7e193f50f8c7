"""Estimates from drawn judgments, compared with simulated data whose true values are known."""

import random
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from tusou.evaluation.drawn_intervals import student_quantile
from tusou.evaluation.sampled import SampledRanking, estimate_metrics

ITEMS, QUERIES, REPEATS = 400, 60, 200


@dataclass(frozen=True)
class World:
    """Queries with all of their correct items, and the rankings of a system that finds some."""

    rankings: list[list[str]]
    correct: list[set[str]]

    def truth(self) -> dict[str, float]:
        found = [
            [len(correct.intersection(ranked[:k])) for k in (10, 100)]
            for ranked, correct in zip(self.rankings, self.correct, strict=True)
        ]
        ten, hundred = np.sum(found, axis=0)
        total = sum(map(len, self.correct))
        return {
            "estimated_precision@10": ten / 10 / QUERIES,
            "estimated_recall@100": hundred / total,
        }


def draw_world(seed: int) -> World:
    """Draw queries with 1 to 60 correct items of 400, which a system ranks mostly at the top."""
    draw = random.Random(seed)
    items = [f"{number}.jpg" for number in range(ITEMS)]
    rankings, correct = [], []
    for _ in range(QUERIES):
        right = set(draw.sample(items, draw.choice([1, 3, 8, 20, 60])))
        noise = {item: draw.gauss(1.2 if item in right else 0, 0.7) for item in items}
        rankings.append(sorted(items, key=noise.__getitem__, reverse=True))
        correct.append(right)
    return World(rankings, correct)


def draw_judgments(world: World, seed: int, below: float = 1 / 14) -> list[SampledRanking]:
    """Judge a tenth of the pairs: 3 in 5 of the first 20, and 1 in 14 of the rest."""
    draw = random.Random(seed)
    sampled = []
    for ranked, correct in zip(world.rankings, world.correct, strict=True):
        grades, probabilities = {}, {}
        for rank, item in enumerate(ranked):
            probability = 0.6 if rank < 20 else below
            if draw.random() < probability:
                grades[item] = int(item in correct)
                probabilities[item] = probability
        sampled.append(SampledRanking(ranked, grades, probabilities))
    return sampled


def test_the_intervals_hold_the_truth_from_a_tenth_of_the_judgments() -> None:
    world = draw_world(1)
    truth = world.truth()
    held = dict.fromkeys(truth, 0)
    means = dict.fromkeys(truth, 0.0)
    judged = 0
    for repeat in range(REPEATS):
        sampled = draw_judgments(world, repeat)
        judged += sum(len(query.grades) for query in sampled)
        estimates = estimate_metrics(sampled, 100)
        for name, value in truth.items():
            low, high = estimates[name].interval
            held[name] += low <= value <= high
            means[name] += estimates[name].value / REPEATS
    assert judged / REPEATS / QUERIES / ITEMS == pytest.approx(0.1, abs=0.005)
    assert means == pytest.approx(truth, rel=0.02)
    assert min(held.values()) >= 0.95 * REPEATS


def test_judgments_of_everything_give_the_truth_itself() -> None:
    world = draw_world(2)
    whole = [
        SampledRanking(
            ranked, {item: int(item in correct) for item in ranked}, dict.fromkeys(ranked, 1.0)
        )
        for ranked, correct in zip(world.rankings, world.correct, strict=True)
    ]
    estimates = estimate_metrics(whole, 100)
    for name, value in world.truth().items():
        assert estimates[name].value == pytest.approx(value, abs=1e-12)


def test_a_drawn_item_stands_for_the_reciprocal_of_its_probability() -> None:
    query = SampledRanking(
        ["a", "b", "c"], {"a": 2, "c": 1, "z": 1}, {"a": 1.0, "c": 0.5, "z": 0.25}
    )
    estimates = estimate_metrics([query, query], 5)
    assert estimates["estimated_precision@1"].value == 1
    assert estimates["estimated_precision@5"].value == pytest.approx(3 / 5)
    assert estimates["estimated_recall@5"].value == pytest.approx(3 / 7)
    assert "estimated_precision@10" not in estimates


def test_a_few_items_that_stand_for_thousands_make_the_interval_wide() -> None:
    found = SampledRanking(["a"], {"a": 1}, {"a": 1.0})
    missed = SampledRanking(["b"], {"b": 1, "z": 1}, {"b": 1.0, "z": 0.003})
    estimates = estimate_metrics([found] * 19 + [missed], 1)
    low, high = estimates["estimated_recall@1"].interval
    assert 0 <= low < 0.01 < estimates["estimated_recall@1"].value < 0.7 < high <= 1


def test_no_drawn_correct_item_below_the_list_is_no_proof_that_there_is_none() -> None:
    """One item in 300 below each list was judged: about 3.6 of them may be correct."""
    grades = {f"{number}.jpg": 1 for number in range(10)}
    query = SampledRanking(
        list(grades), {**grades, "x": 0}, {**dict.fromkeys(grades, 1.0), "x": 1 / 300}
    )
    estimates = estimate_metrics([query] * 20, 10)
    assert estimates["estimated_precision@10"].interval == (1, 1)
    assert estimates["estimated_recall@10"].value == 1
    low, high = estimates["estimated_recall@10"].interval
    assert (low, high) == (pytest.approx(200 / (200 + 3.55 * 299), rel=0.01), 1)


def test_a_list_without_a_judged_item_may_hold_any_number_of_correct_ones() -> None:
    """No item of these lists was drawn, so their precision is anything from 0 to 1."""
    query = SampledRanking(["a", "b"], {"x": 1, "y": 0}, {"x": 1.0, "y": 0.01})
    estimates = estimate_metrics([query] * 5, 1)
    low, high = estimates["estimated_precision@1"].interval
    assert (low, high) == (0, 1)


@pytest.mark.parametrize("queries", [20, 40])
def test_the_intervals_hold_the_truth_where_few_items_were_drawn(queries: int) -> None:
    """One in fifty of the items below the first 20 is judged, and queries are new each time."""
    worlds = [draw_world(seed) for seed in range(12)]
    rankings = [ranked for world in worlds for ranked in world.rankings]
    correct = [items for world in worlds for items in world.correct]
    found = sum(len(c.intersection(r[:100])) for r, c in zip(rankings, correct, strict=True))
    truth = found / sum(map(len, correct))
    draw, held = random.Random(3), 0
    for _ in range(REPEATS):
        chosen = draw.sample(range(len(rankings)), queries)
        world = World([rankings[n] for n in chosen], [correct[n] for n in chosen])
        sampled = draw_judgments(world, draw.randrange(2**32), below=1 / 50)
        low, high = estimate_metrics(sampled, 100)["estimated_recall@100"].interval
        held += low <= truth <= high
    assert held >= 0.95 * REPEATS


def test_the_quantiles_are_those_of_students_t() -> None:
    for freedom in (2, 2.5, 4, 17, 1000):
        assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.01)


def test_nothing_correct_and_no_queries_are_no_error() -> None:
    assert estimate_metrics([], 10) == {}
    nothing = SampledRanking(["a"], {"a": 0}, {"a": 0.5})
    assert estimate_metrics([nothing], 1)["estimated_recall@1"].value == 0
