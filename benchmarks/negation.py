"""Precision and recall of the understanding of refusals, and refused items in the top 10.

python -m benchmarks.negation

With `--queries FILE`, one query a line, print those that are split instead, for manual
review.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tusou_lab.toy.catalogue import ToyProduct
from tusou_lab.toy.products import draw_facts, item_id

from benchmarks.negated_queries import NOT_NEGATED, NegatedQuery, negated_queries
from benchmarks.record import record
from benchmarks.refusal_sets import HALVES, read_cases, score
from benchmarks.running import demo_bundle
from tusou.core.hits import Hits
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart
from tusou.text.negation import REFUSED_WEIGHT, parse_negation

TOP = 10
WEIGHTS = (0.0, 0.25, 0.35, 0.5, 0.75, 1.0)
SLEEVELESS = "无袖连衣裙"  # not among the toy queries; sleeveless dresses are drawn with straps


def main() -> None:
    """Measure every weight and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--queries", type=Path, help="A file with one query a line.")
    arguments = parser.parse_args()
    if arguments.queries:
        print_splits(arguments.queries.read_text(encoding="utf-8").splitlines())
        return
    items = arguments.items
    with tempfile.TemporaryDirectory() as folder:
        pipeline = SearchPipeline.open(demo_bundle(Path(folder), items=items), device="cpu")
        pool = {item_id("test", n): draw_facts(1, "test", n)[0] for n in range(items)}
        queries = negated_queries()
        understood = sum(parse_negation(query.text) is not None for query in queries)
        figures: dict[str, object] = {half: score(read_cases(half)) for half in HALVES}
        figures |= {
            "queries": len(queries),
            "understood": understood,
            "queries that refuse nothing": len(NOT_NEGATED),
            "of these left alone": sum(parse_negation(text) is None for text in NOT_NEGATED),
            "items": items,
            "weight in use": REFUSED_WEIGHT,
            "as it is (interpret: false)": measure(pipeline, pool, queries, query_as_written),
        }
        for weight in WEIGHTS:
            name = f"understood, refused part x {weight}"
            figures[name] = measure(
                pipeline, pool, queries, partial(interpreted_query, weight=weight)
            )
        figures[SLEEVELESS] = sleeveless(pipeline, pool)
    record("negation", figures)


def print_splits(lines: Sequence[str]) -> None:
    """Print each line that is split with its parts, and how many there are."""
    queries = [line.strip() for line in lines if line.strip()]
    split = [(query, understood) for query in queries if (understood := parse_negation(query))]
    for query, understood in split:
        print(f"{query}\t{understood.positive}\t{'|'.join(understood.refused)}")
    print(f"{len(split)} of {len(queries)} queries are split")


def query_as_written(text: str) -> Query:
    """Return a query for the whole text."""
    return Query.of_text(text, TOP, interpret=False)


def interpreted_query(text: str, weight: float) -> Query:
    """Return a query that subtracts what the text refuses, with a weight."""
    understood = parse_negation(text)
    if not understood:
        return query_as_written(text)
    refused = [TextPart(thing, -weight) for thing in understood.refused if weight]
    return Query((TextPart(understood.positive), *refused), TOP)


def measure(
    pipeline: SearchPipeline,
    pool: dict[int, ToyProduct],
    queries: Sequence[NegatedQuery],
    build_query: Callable[[str], Query],
) -> dict[str, float]:
    """Return the shares of the top 10 that are refused, and that match the query."""
    refused = matching = 0
    results = pipeline.search([build_query(query.text) for query in queries])
    for query, hits in zip(queries, results.hits, strict=True):
        products = _products(hits, pool)
        refused += sum(query.refuses(product) for product in products)
        matching += sum(query.matches(product) for product in products)
    shown = TOP * len(queries)
    return {"refused": round(refused / shown, 4), "matching": round(matching / shown, 4)}


def sleeveless(pipeline: SearchPipeline, pool: dict[int, ToyProduct]) -> dict[str, float]:
    """Return the share of strap dresses in the top 10: 无袖 as one word, and as a refusal of 袖."""
    queries = {
        "one word": query_as_written(SLEEVELESS),
        "understood": interpreted_query(SLEEVELESS, REFUSED_WEIGHT),
    }
    results = pipeline.search(list(queries.values()))
    return {
        name: sum(product.facts.get("sleeve") == "strap" for product in _products(hits, pool)) / TOP
        for name, hits in zip(queries, results.hits, strict=True)
    }


def _products(hits: object, pool: dict[int, ToyProduct]) -> list[ToyProduct]:
    assert isinstance(hits, Hits)
    return [pool[int(item_id)] for item_id in hits.item_ids]


if __name__ == "__main__":
    main()
