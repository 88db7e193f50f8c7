"""Search of a pipeline in process, one query at a time and in batches."""

import statistics
import time
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.stock import queries
from benchmarks.timing import repeated
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

_BATCHES = (64, 256, 1024)


def in_process(bundle: Path, device: str, seconds: float) -> dict[str, object]:
    """Open a bundle, search it, and return the figures by name."""
    began = time.perf_counter()
    pipeline = SearchPipeline.open(bundle, device=device)
    pipeline.warm_up()
    figures: dict[str, object] = {
        "open and warm, s": round(time.perf_counter() - began, 2),
        "index": pipeline.bundle.manifest.index.factory,
        "precision": pipeline.precision,
    }
    figures |= _measure(pipeline, _BATCHES if device == "cuda" else (32,), seconds)
    return figures


def _measure(
    pipeline: SearchPipeline, batches: tuple[int, ...], seconds: float
) -> dict[str, object]:
    texts = [Query.of_text(text, 10) for text in queries(4096)]
    endless = cycle(texts)
    alone = repeated(lambda: pipeline.search([next(endless)]), seconds)
    p50, p99 = np.percentile(alone, [50, 99]).tolist()
    figures: dict[str, object] = {"one query, ms": {"p50": _ms(p50), "p99": _ms(p99)}}
    for batch in batches:
        times = repeated(partial(pipeline.search, texts[:batch]), seconds / 2)
        figures[f"calls of {batch}, queries/s"] = round(batch / statistics.median(times), 1)
    figures["a call of the largest, ms by stage"] = _stages(pipeline, texts[: max(batches)])
    return figures


def _stages(pipeline: SearchPipeline, queries: list[Query]) -> dict[str, float]:
    times = [pipeline.search(queries).times for _ in range(5)]
    stages = ("tokenise", "encode", "search")
    return {
        name: _ms(statistics.median(stage_times[name] for stage_times in times)) for name in stages
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
