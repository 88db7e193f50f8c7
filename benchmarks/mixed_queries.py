"""Latency of mixed and negative queries beside a plain text query, in 30,000 items.

python -m benchmarks.mixed_queries
"""

import argparse
import io
import statistics
import tempfile
from base64 import b64encode
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np
from PIL import Image

from benchmarks.record import record
from benchmarks.running import index_pool, service
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query, TextPart

ROUNDS = 400
TEXTS = ("纯棉碎花吊带裙", "红色碎花连衣裙", "男士黑色皮鞋", "不锈钢双耳汤锅")


def main() -> None:
    """Time each kind of query, in the pipeline and over HTTP, and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=30_000)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.tsv"
        with pool.open("wb") as file:
            for number in range(items):
                file.write(f"{number}\t".encode() + b64encode(block_image(number)) + b"\n")
        bundle = Path(folder) / "bundle"
        index_pool(pool, bundle)
        in_process = time_pipeline(SearchPipeline.open(bundle, device="cpu"))
        with service(bundle) as running:
            by_http = time_http(running.url)
    record(
        "mixed_queries",
        {
            "items": items,
            "pipeline": compare_with_plain(in_process),
            "HTTP": compare_with_plain(by_http),
        },
    )


def block_image(seed: int) -> bytes:
    """Return a small JPEG of random coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(blocks).resize((40, 40), Image.Resampling.NEAREST).save(out, "JPEG")
    return out.getvalue()


def time_pipeline(pipeline: SearchPipeline) -> dict[str, list[float]]:
    """Return the seconds of each call by kind; the kinds alternate, to share the machine's load."""
    pipeline.warm_up()
    times: dict[str, list[float]] = {}
    for turn in range(ROUNDS):
        text, other = TEXTS[turn % 4], TEXTS[(turn + 1) % 4]
        item, negative = ItemPart(str(turn)), ItemPart(str(turn + 1), -0.5)
        for name, parts in {
            "plain": (TextPart(text),),
            "text and item": (TextPart(text), item),
            "text less a text": (TextPart(text), TextPart(other, -0.5)),
            "text less an item": (TextPart(text), negative),
            "item": (item,),
            "text, item, less a text and an item": (
                TextPart(text),
                item,
                TextPart(other, -0.5),
                negative,
            ),
        }.items():
            started = perf_counter()
            pipeline.search([Query(parts, 10)])
            times.setdefault(name, []).append(perf_counter() - started)
    return times


def time_http(url: str) -> dict[str, list[float]]:
    """Return the seconds of each request by kind, one request at a time."""
    times: dict[str, list[float]] = {}
    with httpx.Client(base_url=url, trust_env=False) as client:
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


def compare_with_plain(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return median and 95th percentile in milliseconds, and the median over the plain query's."""
    plain = statistics.median(times["plain"])
    return {
        name: {
            "median ms": round(statistics.median(seconds) * 1000, 3),
            "p95 ms": round(float(np.percentile(seconds, 95)) * 1000, 3),
            "times plain": round(statistics.median(seconds) / plain, 2),
        }
        for name, seconds in times.items()
    }


if __name__ == "__main__":
    main()
