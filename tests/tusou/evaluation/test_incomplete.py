"""Metrics for incomplete judgments: against ir-measures, and by hand."""

import random

import ir_measures
import pytest
from ir_measures import AP, Bpref, Judged, P, infAP, nDCG

from tusou.evaluation.incomplete import (
    bpref,
    condense,
    has_incorrect,
    incomplete_metrics,
    inferred_average_precision,
)
from tusou.evaluation.metrics import JudgedRanking

PAIRS = {
    "judged@1": Judged @ 1, "judged@5": Judged @ 5, "judged@10": Judged @ 10,
    "bpref": Bpref, "inf_ap": infAP,
}  # fmt: skip
CONDENSED = {
    "condensed_precision@1": P @ 1,
    "condensed_precision@10": P @ 10,
    "condensed_map@10": AP @ 10,
    "condensed_ndcg@10": nDCG @ 10,
}


def draw(highest: int, least: int) -> tuple[list[JudgedRanking], list[str]]:
    """Draw rankings of 10 of 40 items with judgments of a few, some of them incorrect."""
    random_ = random.Random(highest)
    queries = []
    for _ in range(300):
        judged = random_.sample(range(40), random_.randint(1, 20))
        grades = {f"包-{item}.jpg": random_.randint(least, highest) for item in judged}
        ranked = [f"包-{item}.jpg" for item in random_.sample(range(40), 10)]
        queries.append(JudgedRanking(ranked, grades))
    return queries, [f"q{number}" for number in range(300)]


def theirs(
    measures: dict[str, ir_measures.Measure], queries: list[JudgedRanking], names: list[str]
) -> dict[str, list[float]]:
    qrels = {name: dict(query.correct) for name, query in zip(names, queries, strict=True)}
    run = {
        name: {item: float(-rank) for rank, item in enumerate(query.ranked)}
        for name, query in zip(names, queries, strict=True)
    }
    values = {
        (value.measure, value.query_id): value.value
        for value in ir_measures.iter_calc(list(measures.values()), qrels, run)
    }
    return {ours: [values[measure, name] for name in names] for ours, measure in measures.items()}


@pytest.mark.parametrize("highest", [pytest.param(1, id="binary"), pytest.param(3, id="graded")])
def test_every_metric_of_every_query_agrees_with_ir_measures(highest: int) -> None:
    queries, names = draw(highest, 0)
    ours = incomplete_metrics(queries)
    for name, expected in theirs(PAIRS, queries, names).items():
        assert ours[name].tolist() == pytest.approx(expected, abs=1e-6), name


def test_inferred_average_precision_agrees_where_pooled_items_were_not_drawn() -> None:
    queries, names = draw(2, -1)
    expected = theirs({"inf_ap": infAP}, queries, names)["inf_ap"]
    ours = [inferred_average_precision(query) for query in queries]
    assert ours == pytest.approx(expected, abs=1e-6)
    assert len({round(value, 6) for value in ours}) > 100


def test_condensed_lists_are_the_plain_metrics_of_the_judged_items() -> None:
    queries, names = draw(3, 0)
    ours = incomplete_metrics(queries)
    for name, expected in theirs(CONDENSED, list(map(condense, queries)), names).items():
        assert ours[name].tolist() == pytest.approx(expected, abs=1e-12), name


def test_an_unjudged_item_above_takes_nothing_from_the_condensed_list() -> None:
    grades = {"a": 3, "b": 0}
    queries = [JudgedRanking(["x", "a", "b"], grades), JudgedRanking(["a", "b", "x"], grades)]
    values = incomplete_metrics(queries, 3)
    assert values["judged@1"].tolist() == [0, 1]
    assert values["condensed_precision@1"].tolist() == [1, 1]


def test_bpref_falls_with_each_incorrect_item_above() -> None:
    grades = {"a": 1, "b": 1, "x": 0, "y": 0, "z": 0}
    assert bpref(JudgedRanking(["a", "b", "x"], grades)) == 1
    assert bpref(JudgedRanking(["x", "a", "b"], grades)) == 0.5
    assert bpref(JudgedRanking(["x", "y", "z", "a"], grades)) == 0
    assert bpref(JudgedRanking(["a"], {"x": 0})) == 0


def test_judgments_are_incomplete_only_if_they_name_incorrect_items() -> None:
    assert not has_incorrect([JudgedRanking(["a"], ["a"]), JudgedRanking(["a"], {"a": 2})])
    assert has_incorrect([JudgedRanking(["a"], ["a"]), JudgedRanking(["a"], {"a": 0})])
