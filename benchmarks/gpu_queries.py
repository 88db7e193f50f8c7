"""Queries asked of a pipeline in process: on a GPU by way of the host, and in one go."""

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.stock import queries
from benchmarks.timing import repeated
from tusou.retrieval.pipeline import SearchPipeline

_BATCHES = (64, 256, 1024)
_BY_HOST = "by way of the host"
# What keeps a pipeline from searching where it has encoded.
_APART = partial(patch, "tusou.retrieval.retriever.Nearest._both", return_value=None)


def in_process(bundle: Path, device: str, seconds: float) -> dict[str, object]:
    """Ask one query at a time, and many in a call, in each of the ways that there are."""
    began = time.perf_counter()
    pipeline = SearchPipeline.open(bundle, device=device)
    pipeline.warm_up()
    figures: dict[str, object] = {
        "open and warm, s": round(time.perf_counter() - began, 2),
        "index": pipeline.bundle.manifest.index.factory,
        "precision": pipeline.precision,
    }
    ways: dict[str, Callable[[], AbstractContextManager[object]]] = {_BY_HOST: _APART}
    if pipeline.direct:
        ways = {"in one go": nullcontext} | ways
    for name, way in ways.items():
        with way():
            figures[name] = _asked(pipeline, _BATCHES if device == "cuda" else (32,), seconds)
    return figures


def _asked(pipeline: SearchPipeline, batches: tuple[int, ...], seconds: float) -> dict[str, object]:
    texts = queries(4096)
    endless = cycle(texts)
    alone = repeated(lambda: pipeline.search([next(endless)], [10]), seconds)
    middle, worst = np.percentile(alone, [50, 99]).tolist()
    figures: dict[str, object] = {"one query, ms": {"p50": _ms(middle), "p99": _ms(worst)}}
    for batch in batches:
        times = repeated(partial(pipeline.search, texts[:batch], [10] * batch), seconds / 2)
        figures[f"calls of {batch}, queries/s"] = round(batch / statistics.median(times), 1)
    figures["a call of the largest, ms by stage"] = _stages(pipeline, texts[: max(batches)])
    return figures


def _stages(pipeline: SearchPipeline, texts: list[str]) -> dict[str, float]:
    times = [pipeline.search(texts, [10] * len(texts)).times for _ in range(5)]
    stages = ("tokenise", "encode", "search")
    return {name: _ms(statistics.median(getattr(one, name) for one in times)) for name in stages}


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
