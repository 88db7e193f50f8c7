"""Gain and cost of a cross-encoder: metrics with a paired interval, milliseconds and bytes.

    python -m benchmarks.cross_encoder DATA#SPLIT --reranker FILE [--answers FILE] --name NAME

FILE is written by `tusou train --task rerank`, with data that has nothing in common with SPLIT.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.record import record
from tusou.bundle.bundle import Bundle
from tusou.retrieval.compatibility import find_bundle_weights
from tusou.retrieval.item_view import VersionView
from tusou.stages.base import RerankTask, StageContext
from tusou.stages.cross_encoder import CrossEncoderReranker

TUSOU = [sys.executable, "-m", "tusou"]
TEXT = "纯棉碎花吊带裙"


def main() -> None:
    """Run and record under --name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="DATA#SPLIT, or a file of images")
    parser.add_argument("--reranker", type=Path, required=True)
    parser.add_argument("--answers", help="judged queries, if not those of SOURCE")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--name", required=True, help="of the result file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain, reranked = Path(folder, "plain"), Path(folder, "reranked")
        _tusou("index", arguments.source, "--out", plain, "--model", arguments.model)
        option = ["--rerank", f"cross:{arguments.reranker}", "--rerank-depth", arguments.depth]
        _tusou("stages", plain, *option, "--out", reranked)
        figures = {
            "depth": arguments.depth,
            "gain": _gain(plain, reranked, arguments.answers or arguments.source),
            "cost": _cost(reranked, arguments.depth, arguments.rounds),
        }
    record("cross_encoder", figures, file_name=f"cross_encoder_{arguments.name}")


def _gain(plain: Path, reranked: Path, answers: str) -> dict[str, object]:
    """Return each metric of both bundles, and the difference with its paired 95 % interval."""
    metrics = ("mean_recall", "hit@1", "hit@5", "hit@10")
    options = [text for name in metrics for text in ("--metric", name)]
    compared = _tusou("compare", plain, reranked, "--answers", answers, *options, "--json")
    return {"queries": compared["queries"], "metrics": compared["metrics"]}


def _cost(root: Path, depth: int, rounds: int) -> dict[str, object]:
    """Return the fastest milliseconds of a query in turn: with stored tokens, and computed ones."""
    bundle = Bundle.open(root)
    stages = bundle.manifest.stages
    assert stages.rerank is not None
    context = StageContext(bundle, find_bundle_weights(bundle.manifest), "cpu", "auto", "auto")
    manifest = bundle.manifest
    files = {name: file for name, file in manifest.files.items() if name != "image_tokens.npy"}
    bare = Bundle(bundle.folder, manifest.model_copy(update={"files": files}), bundle.version)
    stored = CrossEncoderReranker.open(context, stages.rerank)
    stored.warm_up()
    keys = tuple(np.random.default_rng(0).permutation(bundle.item_count)[:depth].tolist())
    cosines = np.linspace(0.5, 0.3, len(keys), dtype=np.float32)
    vector = np.zeros(bundle.manifest.model.dim, np.float32)
    task = RerankTask((TEXT,), vector, keys, cosines, VersionView(bundle))
    times: dict[str, list[float]] = {"stored": [], "computed": []}
    for number in range(rounds):
        times["stored"].append(_seconds(stored, task))
        if number < 3:  # a new stage has no computed tokens in memory
            fresh = CrossEncoderReranker.open(replace(context, bundle=bare), stages.rerank)
            fresh.warm_up()
            times["computed"].append(_seconds(fresh, task))
    return {
        "candidates": len(keys),
        "bytes_per_item": stages.rerank.options["bytes_per_item"],
        **{f"ms_{name}": round(1000 * min(values), 2) for name, values in times.items()},
        "ms_stored_median": round(1000 * float(np.median(times["stored"])), 2),
    }


def _seconds(stage: CrossEncoderReranker, task: RerankTask) -> float:
    started = perf_counter()
    scored = sum(len(positions) for positions, _ in stage.score(task, inf))
    assert scored == len(task.keys)
    return perf_counter() - started


def _tusou(*arguments: object) -> dict[str, Any]:
    command = [*TUSOU, *map(str, arguments)]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return json.loads(process.stdout) if "--json" in command else {}


if __name__ == "__main__":
    main()
