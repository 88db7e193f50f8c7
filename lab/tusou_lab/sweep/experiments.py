"""The experiments of a sweep: each changes one setting and keeps the others at the base."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import InvalidRequest
from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.index_recall import exact_neighbors, index_recall
from tusou.evaluation.metrics import (
    GainTable,
    JudgedRanking,
    hit,
    means,
    per_query,
    precision,
    recall,
)
from tusou.indexes import VectorIndex, create_index
from tusou.indexes.specs import FaissSpec
from tusou.retrieval.query import Query
from tusou_lab.sweep.prompts import Prompt, QueryVectors

DEPTH = 10
SEED = 0  # of the samples of the pool
METRICS = ("hit@1", "hit@5", "hit@10", "mean_recall", "mrr@10")
HEADLINE = "mean_recall"
_TIMED_QUERIES = 200  # queries searched singly to measure the time of a query
_MOST_POOLS = 6
_LEAST_POOL = 2 * DEPTH  # in smaller ones most results are found whatever the model is
_LEAST_QUERIES = 10


@dataclass(frozen=True, slots=True)
class SweepRow:
    """The scores of one setting."""

    label: str
    percent: dict[str, float]  # metric name -> mean over the queries
    low: dict[str, float] = field(default_factory=dict)  # 95 % bounds where they are known
    high: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)  # anything but retrieval metrics


@dataclass(frozen=True, slots=True)
class SweepExperiment:
    """One setting with a row for each of its values."""

    name: str
    rows: tuple[SweepRow, ...]


@dataclass(frozen=True, slots=True)
class SweepBase:
    """The data and the settings that every experiment starts from."""

    queries: Sequence[Query]
    correct: Sequence[frozenset[int]]  # row keys, one set per query
    pool: Vectors  # (n, d)
    prompt: Prompt
    precision: str
    outside_pool: int  # correct items that the pool does not hold


class ExperimentRunner:
    """Runs experiments over one base; its exact index is built once."""

    def __init__(self, base: SweepBase, vectors: QueryVectors) -> None:
        self._base, self._vectors = base, vectors
        self._queries = vectors.encode_queries(base.queries, base.prompt, base.precision)
        self._exact = _build_index(FaissSpec("Flat"), base.pool)

    def compare_prompts(self, prompts: Sequence[Prompt]) -> SweepExperiment:
        """Score each prompt template."""
        rows = []
        for prompt in prompts:
            vectors = self._vectors.encode_queries(self._base.queries, prompt, self._base.precision)
            rows.append(self._row(prompt.label, _search(self._exact, vectors)))
        return SweepExperiment("prompt", tuple(rows))

    def compare_pools(self, sizes: Sequence[int]) -> SweepExperiment:
        """Score nested random samples of the images, each with the queries that it can answer.

        A query belongs to a sample that holds one of its correct images at least; the sample of
        all images is scored with all queries. Raises InvalidRequest for a size over the pool's,
        and for one whose sample holds no correct image.
        """
        count = len(self._base.pool)
        order = np.random.default_rng(SEED).permutation(count)
        rows = []
        for size in sorted(set(sizes) | {count}):
            sample = frozenset(order[:size].tolist())
            correct = [items & sample for items in self._base.correct]
            rows_used = [row for row, items in enumerate(correct) if items or size == count]
            if size > count or not rows_used:
                raise InvalidRequest(
                    f"no query has a correct image in a sample of {size} images of the {count} in "
                    "the bundle; give other --pool sizes"
                )
            queries, keys = self._queries[rows_used], np.sort(order[:size])
            results = self._exact.search_among(queries, min(DEPTH, size), keys).ids
            judged = _judge(results, [correct[row] for row in rows_used])
            rows.append(_score(str(size), judged, {"queries": float(len(rows_used))}))
        return SweepExperiment("pool", tuple(rows))

    def default_pools(self) -> list[int]:
        """Return the size of the pool, its half, its quarter and so on, at most six sizes.

        No sample is so small that fewer than ten queries have a correct image in it.
        """
        count = len(self._base.pool)
        order = np.random.default_rng(SEED).permutation(count)
        sizes = [count]
        for halvings in range(1, _MOST_POOLS):
            sample = frozenset(order[: count >> halvings].tolist())
            answered = sum(not items.isdisjoint(sample) for items in self._base.correct)
            if len(sample) < _LEAST_POOL or answered < _LEAST_QUERIES:
                break
            sizes.append(len(sample))
        return sizes

    def compare_depths(self, ks: Sequence[int]) -> SweepExperiment:
        """Score the first k results for each k."""
        deepest = min(max(ks), len(self._base.pool))
        results = _search(self._exact, self._queries, deepest)
        gains = GainTable.of(_judge(results, self._base.correct), deepest)
        rows = []
        for k in sorted({min(k, deepest) for k in ks}):
            # The names leave k out: it is the row's label and the x axis of the curves.
            values = {"hit@k": hit(gains, k), "recall@k": recall(gains, k)}
            values["precision@k"] = precision(gains, k)
            rows.append(_make_row(str(k), values))
        return SweepExperiment("top_k", tuple(rows))

    def compare_indexes(self, specs: Sequence[FaissSpec]) -> SweepExperiment:
        """Score index types, with their recall against exact search and their speed."""
        exact = exact_neighbors(self._base.pool, self._queries, DEPTH)
        rows = []
        for spec in specs:
            started = perf_counter()
            index = _build_index(spec, self._base.pool)
            built = perf_counter() - started
            results = _search(index, self._queries)
            measured = {
                "index_recall@10": 100
                * index_recall(self._base.pool, self._queries, results, exact, DEPTH),
                "ms_a_query": 1000 * self._seconds_per_query(index),
                "seconds_to_build": built,
            }
            label = f"{spec.factory} {spec.tuning}".strip()
            rows.append(self._row(label, results, measured))
        return SweepExperiment("index", tuple(rows))

    def compare_precisions(self, names: Sequence[str]) -> SweepExperiment:
        """Score the precisions that the text tower can encode queries in."""
        rows = []
        for name in names:
            vectors = self._vectors.encode_queries(self._base.queries, self._base.prompt, name)
            cosines = np.einsum("nd,nd->n", vectors, self._queries)
            measured = {"least_cosine_to_base": min(1.0, float(cosines.min()))}
            rows.append(self._row(name, _search(self._exact, vectors), measured))
        return SweepExperiment("precision", tuple(rows))

    def _seconds_per_query(self, index: VectorIndex) -> float:
        """Return the median time of a search for a single query."""
        times = []
        for query in self._queries[:_TIMED_QUERIES]:
            started = perf_counter()
            _search(index, query[None])
            times.append(perf_counter() - started)
        return float(np.median(times))

    def _row(self, label: str, results: Ids, measured: dict[str, float] | None = None) -> SweepRow:
        return _score(label, _judge(results, self._base.correct), measured)


def _judge(results: Ids, correct: Sequence[frozenset[int]]) -> list[JudgedRanking]:
    return [
        JudgedRanking([key for key in keys if key >= 0], items)
        for keys, items in zip(results.tolist(), correct, strict=True)
    ]


def _score(
    label: str, judged: Sequence[JudgedRanking], measured: dict[str, float] | None = None
) -> SweepRow:
    values = per_query(judged, DEPTH)
    return _make_row(label, {name: values[name] for name in METRICS}, measured)


def _make_row(
    label: str,
    values: dict[str, npt.NDArray[np.float64]],
    measured: dict[str, float] | None = None,
) -> SweepRow:
    bounds = intervals(values)
    return SweepRow(
        label,
        {name: 100 * value for name, value in means(values).items()},
        {name: 100 * low for name, (low, _) in bounds.items()},
        {name: 100 * high for name, (_, high) in bounds.items()},
        measured or {},
    )


def _build_index(spec: FaissSpec, pool: Vectors) -> VectorIndex:
    index = create_index(spec, pool.shape[1])
    index.fill(pool)
    return index


def _search(index: VectorIndex, queries: Vectors, depth: int = DEPTH) -> Ids:
    return index.search(queries, min(depth, len(index))).ids
