"""Refused items in the top 10 of negated queries: read as they are, and understood.

python -m benchmarks.negation
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tusou_lab.toy.catalogue import ToyProduct
from tusou_lab.toy.negated import NOT_NEGATED, NegatedQuery, negated_queries
from tusou_lab.toy.products import draw_facts, item_id

from benchmarks.record import record
from benchmarks.running import demo_bundle
from tusou.core.hits import Hits
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart
from tusou.text.negation import REFUSED_WEIGHT, parse_negation

TOP = 10
WEIGHTS = (0.0, 0.25, 0.35, 0.5, 0.75, 1.0)
SLEEVELESS = "无袖连衣裙"  # in no toy query: what is wanted is drawn with straps


def main() -> None:
    """Measure every weight, and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=3000)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory() as folder:
        pipeline = SearchPipeline.open(demo_bundle(Path(folder), items=items), device="cpu")
        pool = {item_id("test", n): draw_facts(1, "test", n)[0] for n in range(items)}
        queries = negated_queries()
        understood = sum(parse_negation(query.text) is not None for query in queries)
        figures: dict[str, object] = {
            "queries": len(queries),
            "understood": understood,
            "queries that refuse nothing": len(NOT_NEGATED),
            "of these left alone": sum(parse_negation(text) is None for text in NOT_NEGATED),
            "items": items,
            "weight in use": REFUSED_WEIGHT,
            "as it is (interpret: false)": judge(pipeline, pool, queries, as_it_is),
        }
        for weight in WEIGHTS:
            name = f"understood, refused part x {weight}"
            figures[name] = judge(pipeline, pool, queries, partial(taken, weight=weight))
        figures[SLEEVELESS] = sleeveless(pipeline, pool)
    record("negation", figures)


def as_it_is(text: str) -> Query:
    """Search for the whole query."""
    return Query.of_text(text, TOP, interpret=False)


def taken(text: str, weight: float) -> Query:
    """Search for what is wanted, less what is refused."""
    found = parse_negation(text)
    if not found:
        return as_it_is(text)
    refused = [TextPart(one, -weight) for one in found.refused if weight]
    return Query((TextPart(found.positive), *refused), TOP)


def judge(
    pipeline: SearchPipeline,
    pool: dict[int, ToyProduct],
    queries: Sequence[NegatedQuery],
    ask: Callable[[str], Query],
) -> dict[str, float]:
    """Share of the top 10 that is refused, and that is of the category and not refused."""
    refused = wanted = 0
    answers = pipeline.search([ask(query.text) for query in queries])
    for query, hits in zip(queries, answers.hits, strict=True):
        found = _products(hits, pool)
        refused += sum(query.refuses(product) for product in found)
        wanted += sum(query.matches(product) for product in found)
    shown = TOP * len(queries)
    return {"refused": round(refused / shown, 4), "wanted": round(wanted / shown, 4)}


def sleeveless(pipeline: SearchPipeline, pool: dict[int, ToyProduct]) -> dict[str, float]:
    """Share of dresses with straps in the top 10, 无袖 taken as one word and as a refusal of 袖."""
    asks = {
        "one word": Query.of_text(SLEEVELESS, TOP, interpret=False),
        "understood": taken(SLEEVELESS, REFUSED_WEIGHT),
    }
    answers = pipeline.search(list(asks.values()))
    return {
        name: sum(product.facts.get("sleeve") == "strap" for product in _products(hits, pool)) / TOP
        for name, hits in zip(asks, answers.hits, strict=True)
    }


def _products(hits: object, pool: dict[int, ToyProduct]) -> list[ToyProduct]:
    assert isinstance(hits, Hits)
    return [pool[int(one)] for one in hits.item_ids]


if __name__ == "__main__":
    main()
