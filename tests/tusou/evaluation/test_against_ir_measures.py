"""Metrics of each query against those of the public library ir-measures."""

import random

import ir_measures
import pytest
from ir_measures import AP, RR, P, R, Success, nDCG

from tusou.evaluation.metrics import JudgedRanking, per_query

PAIRS = {
    "hit@1": Success @ 1, "hit@5": Success @ 5, "hit@10": Success @ 10,
    "recall@1": R @ 1, "recall@5": R @ 5, "recall@10": R @ 10,
    "precision@1": P @ 1, "precision@5": P @ 5, "precision@10": P @ 10,
    "mrr@10": RR @ 10, "map@10": AP @ 10, "ndcg@10": nDCG @ 10,
}  # fmt: skip


@pytest.mark.parametrize("highest", [pytest.param(1, id="binary"), pytest.param(4, id="graded")])
def test_every_metric_of_every_query_agrees(highest: int) -> None:
    draw = random.Random(highest)
    rankings, grades = {}, {}
    for query in map(str, range(300)):
        rankings[query] = draw.sample(range(40), 10)
        judged = draw.sample(range(40), draw.randint(1, 15))
        grades[query] = {item: draw.randint(0, highest) for item in judged}
    ours = per_query([JudgedRanking(rankings[query], grades[query]) for query in rankings])
    qrels = {
        query: {str(item): grade for item, grade in judged.items()}
        for query, judged in grades.items()
    }
    run = {
        query: {str(item): float(-rank) for rank, item in enumerate(items)}
        for query, items in rankings.items()
    }
    theirs = {
        (value.measure, value.query_id): value.value
        for value in ir_measures.iter_calc(list(PAIRS.values()), qrels, run)
    }
    for name, measure in PAIRS.items():
        expected = [theirs[measure, query] for query in rankings]
        assert ours[name].tolist() == pytest.approx(expected, abs=1e-12), name
