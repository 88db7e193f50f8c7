"""Time of each operator of filters over the attributes of a million items.

The rows are drawn: titles are all different, categories are 50, a tenth of the prices is missing,
and each item has up to four of 200 tags. Masks are computed anew each time. Facets and the file are
timed too.
"""

import argparse
import random
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.record import record
from benchmarks.timing import Work, fastest_in_turn
from tusou.attributes.filters import parse_filter
from tusou.attributes.schema import Attributes, AttributeSchema
from tusou.attributes.table import AttributeTable

SCHEMA: AttributeSchema = {
    "title": "string",
    "category": "string",
    "price": "number",
    "stock": "integer",
    "new": "boolean",
    "listed": "date",
    "tags": "strings",
}
FILTERS: dict[str, object] = {
    "string $eq": {"category": "类目7"},
    "string $ne": {"category": {"$ne": "类目7"}},
    "string $in, 3 values": {"category": {"$in": ["类目1", "类目2", "类目3"]}},
    "string $in, 256 values": {"title": {"$in": [f"第{n}件纯棉碎花连衣裙" for n in range(256)]}},
    "string $eq, all different": {"title": "第7件纯棉碎花连衣裙"},
    "number $lte": {"price": {"$lte": 100}},
    "number $eq": {"price": 99},
    "number $in, 3 values": {"price": {"$in": [9.9, 99, 199]}},
    "number $nin, 256 values": {"price": {"$nin": list(range(256))}},
    "integer $gt": {"stock": {"$gt": 50}},
    "integer $lt a fraction": {"stock": {"$lt": 50.5}},
    "boolean $eq": {"new": True},
    "date $gte": {"listed": {"$gte": "2024-06-01"}},
    "strings $eq": {"tags": "标签7"},
    "strings $in, 3 values": {"tags": {"$in": ["标签1", "标签2", "标签3"]}},
    "strings $nin, 3 values": {"tags": {"$nin": ["标签1", "标签2", "标签3"]}},
    "$exists": {"price": {"$exists": True}},
    "$and of 4": {"category": "类目7", "price": {"$lte": 100}, "new": True, "tags": "标签7"},
    "$or of 2": {"$or": [{"category": "类目7"}, {"price": {"$lt": 10}}]},
    "$not": {"$not": {"category": "类目7"}},
}


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    record("filters", measure_filters(args.items, args.rounds), f"filters_{args.items}")


def measure_filters(count: int, rounds: int) -> dict[str, object]:
    """Return milliseconds of masks and facets, and seconds of the file."""
    figures: dict[str, object] = {"items": count}
    started = perf_counter()
    table = AttributeTable.from_rows(SCHEMA, draw_rows(count))
    figures["drawn and built in, s"] = round(perf_counter() - started, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attributes.arrow"
        started = perf_counter()
        table.write(path)
        figures["written in, s"] = round(perf_counter() - started, 2)
        started = perf_counter()
        table = AttributeTable.read(path)
        figures["read in, s"] = round(perf_counter() - started, 2)
        figures["MB"] = round(path.stat().st_size / 1e6, 1)
    parsed = {name: parse_filter(value) for name, value in FILTERS.items()}
    some = table.mask(parse_filter({"price": {"$lte": 100}}))
    works: dict[str, Work] = {
        name: partial(table.compute_mask, each) for name, each in parsed.items()
    }
    works["cached mask"] = partial(table.mask, parsed["$and of 4"])
    for name in ("category", "tags", "title", "price", "listed"):
        works[f"facet of {name}"] = partial(table.facet, name)
        works[f"facet of {name}, filtered"] = partial(table.facet, name, some)
    works["20 rows"] = partial(table.rows, range(0, 1000, 50))
    seconds = fastest_in_turn(works, rounds)
    figures["ms"] = {name: round(1000 * fastest, 3) for name, fastest in seconds.items()}
    return figures


def draw_rows(count: int) -> Iterator[Attributes]:
    """Yield attributes of goods."""
    draw = random.Random(1)
    for number in range(count):
        row: dict[str, str | float | int | bool | list[str]] = {
            "title": f"第{number}件纯棉碎花连衣裙",
            "category": f"类目{draw.randrange(50)}",
            "stock": draw.randrange(100),
            "new": draw.random() < 0.1,
            "listed": f"2024-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}",
            "tags": [f"标签{draw.randrange(200)}" for _ in range(draw.randrange(5))],
        }
        if draw.random() < 0.9:
            row["price"] = draw.randrange(1, 50_000) / 100
        yield row


if __name__ == "__main__":
    main()
