"""Hubs of a dataset and what their correction does: places, mean_recall and time.

    python -m benchmarks.hubness DATA [--model MODEL]

DATA has a valid and a test split. The test images are indexed with and without the correction. Half
of the valid queries are the bank, the other half fits the settings, and the test queries measure.
Hubs are planted too: items in one direction, towards which all queries lean.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from tusou_indexer.build import BuildSpec, build
from tusou_lab.check.hubness import measure_hubness
from tusou_lab.improve.fit_hub import fit_hub, mean_recalls

from benchmarks.record import record
from benchmarks.timing import fastest_in_turn
from tusou.bundle.biased_vectors import add_bias, as_queries
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.arrays import Vectors
from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.judgments import Judgments, read_judgments
from tusou.indexes import create_index
from tusou.indexes.base import VectorIndex
from tusou.indexes.specs import FaissSpec
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart
from tusou.stages.hub_bias import HubCorrection
from tusou.text.normalize import normalize_query

K = 10
HUBS, LEAN = 5, 1.0  # planted items, and how far queries are moved towards them
_SEED = 31
_BATCH = 64
_ROUNDS, _TIMED_QUERIES = 40, 20
_LARGE = (200_000, 512)  # items and numbers of an index that is timed alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--save", help="name of the file of results")
    options = parser.parse_args()
    valid, test = (read_judgments(f"{options.data}#{split}") for split in ("valid", "test"))
    with TemporaryDirectory() as name:
        folder = Path(name)
        spec = BuildSpec(f"{options.data}#test", options.model, "Flat", "cpu")
        build(spec, folder / "plain", NoProgress())
        spec = replace(spec, query_bank=f"{options.data}#valid")
        build(spec, folder / "corrected", NoProgress())
        plain = SearchPipeline.open(folder / "plain", device="cpu")
        corrected = SearchPipeline.open(folder / "corrected", device="cpu")
        asked = encode(plain, test)
        figures: dict[str, object] = {
            "items": plain.bundle.item_count,
            "queries": {"bank and fit": len(valid.rows), "test": len(test.rows)},
            "test": measure_test(plain.bundle, encode(plain, valid), valid, asked, test, options),
            "planted hubs": measure_planted(plain.bundle.vectors, encode(plain, valid), asked),
            "online": measure_time(plain, corrected, test),
            "index alone": measure_index(),
        }
    record("hubness", figures, options.save)


def encode(pipeline: SearchPipeline, judgments: Judgments) -> Vectors:
    """Return the vectors of the queries, (q, d)."""
    texts = [normalize_query(row.text or "") for row in judgments.rows]
    starts = range(0, len(texts), _BATCH)
    batches = [pipeline.encode_texts(texts[start : start + _BATCH]).vectors for start in starts]
    return np.concatenate(batches)


def correct_keys(bundle: Bundle, judgments: Judgments) -> list[list[int]]:
    """Return the row keys of each query's correct items that are in the bundle."""
    keys = [[bundle.ids.key(str(item)) for item in row.correct] for row in judgments.rows]
    return [[key for key in row if key is not None] for row in keys]


def measure_test(
    bundle: Bundle,
    queries: Vectors,
    valid: Judgments,
    asked: Vectors,
    test: Judgments,
    options: argparse.Namespace,
) -> dict[str, object]:
    """Return hubness and mean_recall of the test queries, without and with corrections.

    The settings are fitted on images of the valid split.
    """
    with TemporaryDirectory() as name:
        spec = BuildSpec(f"{options.data}#valid", options.model, "Flat", "cpu")
        build(spec, Path(name, "valid"), NoProgress())
        other = Bundle.open(Path(name, "valid"))
        half = np.random.default_rng(_SEED).permutation(len(queries)) % 2 == 0
        correct = correct_keys(other, valid)
        judged = [keys for keys, is_bank in zip(correct, half, strict=True) if not is_bank]
        fitted = fit_hub(np.asarray(other.vectors), queries[half], queries[~half], judged)
    vectors, answers = np.asarray(bundle.vectors), correct_keys(bundle, test)
    none = np.zeros(len(vectors), np.float32)
    before = mean_recalls(vectors, asked, answers, none)
    figures: dict[str, object] = {
        "without": {
            "mean_recall": round(100 * float(before.mean()), 2),
            **hubness(vectors, asked, none),
        },
    }
    for label, k, alpha in (
        ("the authors' settings", min(128, len(queries)), 0.75),
        ("fitted on valid", fitted.k, fitted.alpha),
    ):
        bias = HubCorrection(queries, min(k, len(queries)), alpha).bias(vectors)
        after = mean_recalls(vectors, asked, answers, bias)
        low, high = intervals({"gain": after - before})["gain"]
        figures[label] = {
            "k": k,
            "alpha": alpha,
            "mean_recall": round(100 * float(after.mean()), 2),
            "gain": round(100 * float((after - before).mean()), 2),
            "interval": [round(100 * low, 2), round(100 * high, 2)],
            **hubness(vectors, asked, bias),
        }
    return figures


def measure_planted(vectors: Vectors, bank: Vectors, asked: Vectors) -> dict[str, object]:
    """Return the hubness of a pool with hubs in a direction that all queries lean to."""
    shared = np.random.default_rng(_SEED).normal(size=(HUBS + 1, vectors.shape[1]))
    direction = unit(shared[:1])
    planted = unit(direction + 0.1 * unit(shared[1:]))
    items = np.vstack([vectors, planted])
    bank, asked = (unit(queries + LEAN * direction) for queries in (bank, asked))
    bias = HubCorrection(bank, min(128, len(bank))).bias(items)
    before = hubness(items, asked, np.zeros(len(items), np.float32))
    after = hubness(items, asked, bias)
    return {"hubs": HUBS, "without": before, "the authors' settings": after}


def hubness(vectors: Vectors, queries: Vectors, bias: Vectors) -> dict[str, object]:
    """Return the k-occurrence of items in an index with biases."""
    index = create_index(FaissSpec("Flat"), add_bias(vectors[:1], bias[:1]).shape[1])
    index.fill(add_bias(vectors, bias))
    keys = index.search(as_queries(queries, adjust=True), K).ids
    occurrences = np.bincount(keys.ravel(), minlength=len(vectors))
    measured = measure_hubness(occurrences, len(queries), K)
    return {
        "largest k-occurrence": measured.largest,
        "skew": round(measured.skew, 3),
        "never found": measured.never,
    }


def measure_time(
    plain: SearchPipeline, corrected: SearchPipeline, test: Judgments
) -> dict[str, object]:
    """Return the time of one query in a pipeline with the correction, to that without."""
    texts = [normalize_query(row.text or "") for row in test.rows[:_TIMED_QUERIES]]
    queries = [Query((TextPart(text),), K) for text in texts]
    plain.warm_up()
    corrected.warm_up()
    works = {
        f"{name} {number}": lambda pipeline=pipeline, query=query: pipeline.search([query])
        for number, query in enumerate(queries)
        for name, pipeline in (("without", plain), ("with", corrected))
    }
    return _ratios(fastest_in_turn(works, _ROUNDS), len(queries))


def measure_index() -> dict[str, object]:
    """Return the time of one search of a large exact index with biases, to that without."""
    vectors, queries = (
        unit(np.random.default_rng(seed).normal(size=(count, _LARGE[1])))
        for seed, count in ((1, _LARGE[0]), (2, _TIMED_QUERIES))
    )
    plain, biased = filled(vectors), filled(add_bias(vectors, np.full(len(vectors), 0.2, "f4")))
    longer = as_queries(queries, adjust=True)
    works = {
        f"{name} {number}": lambda index=index, query=query: index.search(query, K)
        for number in range(len(queries))
        for name, index, query in (
            ("without", plain, queries[number : number + 1]),
            ("with", biased, longer[number : number + 1]),
        )
    }
    sizes = {"items": _LARGE[0], "numbers": [vectors.shape[1], longer.shape[1]]}
    return {**sizes, **_ratios(fastest_in_turn(works, _ROUNDS), len(queries))}


def _ratios(seconds: dict[str, float], count: int) -> dict[str, object]:
    """Return the median over queries of the fastest times, and of their ratios."""
    without, corrected = (
        np.array([seconds[f"{name} {number}"] for number in range(count)])
        for name in ("without", "with")
    )
    return {
        "without_ms": round(1000 * float(np.median(without)), 4),
        "with_ms": round(1000 * float(np.median(corrected)), 4),
        "ratio": round(float(np.median(corrected / without)), 4),
    }


def filled(vectors: Vectors) -> VectorIndex:
    index = create_index(FaissSpec("Flat"), vectors.shape[1])
    index.fill(vectors)
    return index


def unit(rows: npt.NDArray[np.floating[Any]]) -> Vectors:
    vectors: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return vectors


if __name__ == "__main__":
    main()
