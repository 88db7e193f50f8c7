"""What mixed and negative queries cost beside a plain one, in a pool of 30,000 items.

python -m benchmarks.asks
"""

import argparse
import statistics
import tempfile
from base64 import b64encode
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np

from benchmarks.record import record
from benchmarks.running import index_pool, service
from tests.drawing import image_bytes
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query, TextPart

ROUNDS = 400
TEXTS = ("纯棉碎花吊带裙", "红色碎花连衣裙", "男士黑色皮鞋", "不锈钢双耳汤锅")


def main() -> None:
    """Time every kind of query alone, in the pipeline and over HTTP, and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=30_000)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.tsv"
        with pool.open("wb") as file:
            for number in range(items):
                file.write(f"{number}\t".encode() + b64encode(image_bytes(number)) + b"\n")
        bundle = Path(folder) / "bundle"
        index_pool(pool, bundle)
        inside = in_the_pipeline(SearchPipeline.open(bundle, device="cpu"))
        with service(bundle) as running:
            outside = over_http(running.url)
    record("asks", {"items": items, "pipeline": compared(inside), "HTTP": compared(outside)})


def in_the_pipeline(pipeline: SearchPipeline) -> dict[str, list[float]]:
    """Seconds of each call, kind by kind in turn, so that all meet the same machine."""
    pipeline.warm_up()
    times: dict[str, list[float]] = {}
    for turn in range(ROUNDS):
        text, other = TEXTS[turn % 4], TEXTS[(turn + 1) % 4]
        item, less = ItemPart(str(turn)), ItemPart(str(turn + 1), -0.5)
        for name, parts in {
            "plain": (TextPart(text),),
            "text and item": (TextPart(text), item),
            "text less a text": (TextPart(text), TextPart(other, -0.5)),
            "text less an item": (TextPart(text), less),
            "item": (item,),
            "text, item, less a text and an item": (
                TextPart(text),
                item,
                TextPart(other, -0.5),
                less,
            ),
        }.items():
            started = perf_counter()
            pipeline.search([Query(parts, 10)])
            times.setdefault(name, []).append(perf_counter() - started)
    return times


def over_http(url: str) -> dict[str, list[float]]:
    """Seconds from a request to its answer, one at a time."""
    times: dict[str, list[float]] = {}
    with httpx.Client(base_url=url) as client:
        for turn in range(ROUNDS):
            text, other = TEXTS[turn % 4], TEXTS[(turn + 1) % 4]
            for name, body in {
                "plain": {"query": text},
                "text and item": {"query": text, "item_id": turn},
                "text less a text": {"query": text, "negative": other},
                "understood to refuse": {"query": f"不要红色的{text}"},
                "item": {"item_id": turn},
            }.items():
                started = perf_counter()
                client.post("/search", json=body).raise_for_status()
                times.setdefault(name, []).append(perf_counter() - started)
    return times


def compared(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile in milliseconds, and the median beside the plain query's."""
    plain = statistics.median(times["plain"])
    return {
        name: {
            "median ms": round(statistics.median(took) * 1000, 3),
            "p95 ms": round(float(np.percentile(took, 95)) * 1000, 3),
            "times plain": round(statistics.median(took) / plain, 2),
        }
        for name, took in times.items()
    }


if __name__ == "__main__":
    main()
