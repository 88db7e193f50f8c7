"""Seconds to evaluate 5,000 queries against 30,000 vectors: the commands, as processes.

python -m benchmarks.evaluation --folder FOLDER

The pool (drawn blocks under the toy catalogue's queries, so that only the times mean something) and
its bundle are made once and kept in the folder; `--prepare` makes them and stops.
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
LARGE_DIM = 512  # of ViT-B/16


def main() -> None:
    """Make what is missing, then time each command and record."""
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
    for kept in (folder / "kept").glob("*.npz"):
        kept.unlink()
    answers = ["--answers", folder / "queries.jsonl"]
    kept_here = [*answers, "--cache", folder / "kept"]
    bundle = folder / "bundle"
    seconds = {
        "a bundle, its queries encoded": timed(
            "evaluate", bundle, *kept_here, "--save", folder / "first.jsonl"
        ),
        "a bundle, from kept embeddings": timed(
            "evaluate", bundle, *kept_here, "--save", folder / "second.jsonl"
        ),
        "a run file": timed("evaluate", folder / "first.jsonl", *answers),
        "two run files compared": timed(
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
        f"seconds to search as many vectors of {LARGE_DIM} exactly": large(arguments),
    }
    record("evaluation", figures)


def prepare(folder: Path, items: int, queries: int) -> None:
    """Write queries and pool, and index them, unless that was done before."""
    if (folder / "bundle" / CURRENT).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    products = [draw_facts(1, "test", number)[0] for number in range(items)]
    asked = write_queries(products, "test", queries, 1)
    rows = [
        {"query_id": number, "query_text": one.text, "item_ids": one.answers}
        for number, one in enumerate(asked)
    ]
    written = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "queries.jsonl").write_text(written, "utf-8")
    with (folder / "pool.tsv").open("wb") as pool:
        pool.writelines(b"%d\t%s\n" % (number, blocks(number)) for number in range(items))
    command = ["index", folder / "pool.tsv", "--out", folder / "bundle", "--model", "demo"]
    subprocess.run([*TUSOU, *map(str, command)], check=True)


def blocks(seed: int) -> bytes:
    """Draw a small image that no other seed gives, in base64."""
    colours = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    held = io.BytesIO()
    Image.fromarray(colours).save(held, "PNG")
    return base64.b64encode(held.getvalue())


def timed(*words: object) -> float:
    """Run a command and give its seconds, start of Python included."""
    started = time.perf_counter()
    command = [*TUSOU, *map(str, words), "--json"]
    subprocess.run(command, check=True, capture_output=True)
    return round(time.perf_counter() - started, 2)


def large(arguments: argparse.Namespace) -> float:
    """Search vectors as large as a published model's, in this process."""
    stored, asked = (
        structured(count, LARGE_DIM, seed)
        for seed, count in enumerate((arguments.items, arguments.queries))
    )
    index = create_index(FaissSpec("Flat"), LARGE_DIM)
    index.add(np.arange(len(stored)), stored)
    started = time.perf_counter()
    index.search(asked, 10)
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
