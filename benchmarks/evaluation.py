"""Time of `tusou evaluate` and `compare` for 5,000 queries and 30,000 vectors, as processes.

python -m benchmarks.evaluation --folder FOLDER

The pool holds blocks of random colours under the queries of the toy catalogue, so the scores are
meaningless. It and its bundle are made once and stay in the folder; `--prepare` only makes them.
"""

import argparse
import base64
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from tusou_lab.toy.products import draw_facts
from tusou_lab.toy.queries import write_queries

from benchmarks.record import record
from benchmarks.stock import structured
from tusou.bundle.bundle import CURRENT, Bundle
from tusou.indexes import create_index
from tusou.indexes.specs import FaissSpec

TUSOU = [sys.executable, "-m", "tusou"]
LARGE_DIM = 512  # that of ViT-B/16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--items", type=int, default=30_000)
    parser.add_argument("--queries", type=int, default=5_000)
    parser.add_argument("--prepare", action="store_true", help="make the bundle, measure nothing")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    prepare(folder, arguments.items, arguments.queries)
    if arguments.prepare:
        return
    for name in ("first.jsonl", "second.jsonl"):
        (folder / name).unlink(missing_ok=True)
    for cached in (folder / "cache").glob("*.npz"):
        cached.unlink()
    answers = ["--answers", folder / "queries.jsonl"]
    with_cache = [*answers, "--cache", folder / "cache"]
    bundle = folder / "bundle"
    seconds = {
        "a bundle, its queries encoded": time_command(
            "evaluate", bundle, *with_cache, "--save", folder / "first.jsonl"
        ),
        "a bundle, from cached embeddings": time_command(
            "evaluate", bundle, *with_cache, "--save", folder / "second.jsonl"
        ),
        "a run file": time_command("evaluate", folder / "first.jsonl", *answers),
        "two run files compared": time_command(
            "compare", folder / "first.jsonl", folder / "second.jsonl", *answers, "--slices"
        ),
    }
    manifest = Bundle.open(bundle).manifest
    figures: dict[str, object] = {
        "items": manifest.counts.embedded,
        "queries": arguments.queries,
        "dim": manifest.model.dim,
        "index": manifest.index.factory,
        "seconds of the whole command": seconds,
        f"seconds to search as many vectors of {LARGE_DIM} exactly": time_exact_search(arguments),
    }
    record("evaluation", figures)


def prepare(folder: Path, items: int, queries: int) -> None:
    """Write queries and pool and index them, unless the bundle exists."""
    if (folder / "bundle" / CURRENT).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    products = [draw_facts(1, "test", number)[0] for number in range(items)]
    toy_queries = write_queries([(product,) for product in products], "test", queries, 1)
    rows = [
        {"query_id": number, "query_text": query.text, "item_ids": query.items}
        for number, query in enumerate(toy_queries)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "queries.jsonl").write_text(lines, "utf-8")
    with (folder / "pool.tsv").open("wb") as pool:
        pool.writelines(b"%d\t%s\n" % (number, draw_blocks(number)) for number in range(items))
    command = ["index", folder / "pool.tsv", "--out", folder / "bundle", "--model", "demo"]
    subprocess.run([*TUSOU, *map(str, command)], check=True)


def draw_blocks(seed: int) -> bytes:
    """Return a small image, different for each seed, in base64."""
    colours = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue())


def time_command(*arguments: object) -> float:
    """Return the seconds of a command, including the start of Python."""
    started = time.perf_counter()
    command = [*TUSOU, *map(str, arguments), "--json"]
    subprocess.run(command, check=True, capture_output=True)
    return round(time.perf_counter() - started, 2)


def time_exact_search(arguments: argparse.Namespace) -> float:
    """Return the seconds of an exact search of vectors as large as a published model's."""
    vectors, queries = (
        structured(count, LARGE_DIM, seed)
        for seed, count in enumerate((arguments.items, arguments.queries))
    )
    index = create_index(FaissSpec("Flat"), LARGE_DIM)
    index.fill(vectors)
    started = time.perf_counter()
    index.search(queries, 10)
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
