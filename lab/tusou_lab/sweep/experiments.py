"""The questions a sweep asks; each changes one setting and leaves the others at the base."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import InvalidRequest
from tusou.evaluation.bootstrap import intervals
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
from tusou_lab.sweep.embeddings import QueryVectors
from tusou_lab.sweep.prompts import Prompt

DEPTH = 10
WANTED = ("hit@1", "hit@5", "hit@10", "mean_recall", "mrr@10")
BOUNDED = "mean_recall"
_TIMED = 200  # queries searched one by one for the time of one


@dataclass(frozen=True, slots=True)
class Row:
    """One setting that was tried."""

    label: str
    percent: dict[str, float]  # metric name -> mean over the queries
    low: dict[str, float] = field(default_factory=dict)  # 95 % bounds of those that have them
    high: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)  # what is no metric of retrieval


@dataclass(frozen=True, slots=True)
class Question:
    """One setting, and all that was tried for it."""

    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """What every question starts from."""

    texts: Sequence[str]
    correct: Sequence[frozenset[int]]  # row keys, one set a query
    pool: Vectors  # (n, d)
    prompt: Prompt
    precision: str
    seed: int
    without_place: int  # correct items that the pool does not hold


class Asking:
    """Answers one question after another; exact search over the base is made once."""

    def __init__(self, base: Base, vectors: QueryVectors) -> None:
        self._base, self._vectors = base, vectors
        self._queries = vectors.of(base.texts, base.prompt, base.precision)
        self._flat = _filled(FaissSpec("Flat"), np.arange(len(base.pool)), base.pool)

    def prompts(self, prompts: Sequence[Prompt]) -> Question:
        """Compare prompt templates."""
        base = self._base
        asked = ((one, self._vectors.of(base.texts, one, base.precision)) for one in prompts)
        return Question(
            "prompt",
            tuple(self._row(one.label, self._found(self._flat, found)) for one, found in asked),
        )

    def pools(self, sizes: Sequence[int]) -> Question:
        """Compare pool sizes: nested draws that keep every correct item."""
        order, fewest = self._nested()
        rows = []
        for size in sorted(set(sizes) | {len(order)}):
            if not fewest <= size <= len(order):
                raise InvalidRequest(
                    f"a pool of {size} is not between the {fewest} correct items, which stay in "
                    f"every pool, and the {len(order)} items of the bundle; give other --pool sizes"
                )
            index = _filled(FaissSpec("Flat"), order[:size], self._base.pool)
            rows.append(self._row(str(size), self._found(index, self._queries)))
        return Question("pool", tuple(rows))

    def pool_steps(self) -> list[int]:
        """Give pool sizes that double from the smallest that holds the correct items."""
        order, fewest = self._nested()
        steps: list[int] = []
        size = len(order)
        while size >= max(fewest, DEPTH) and len(steps) < 6:
            steps.append(size)
            size //= 2
        return steps

    def depths(self, ks: Sequence[int]) -> Question:
        """Compare how many items are looked at."""
        deepest = min(max(ks), len(self._base.pool))
        found = self._found(self._flat, self._queries, deepest)
        marks = GainTable.of(self._judged(found), deepest)
        rows = []
        for k in sorted({min(k, deepest) for k in ks}):
            # Named without their k, which is the row's: the curves are over it.
            values = {"hit@k": hit(marks, k), "recall@k": recall(marks, k)}
            values["precision@k"] = precision(marks, k)
            rows.append(_row(str(k), values))
        return Question("top_k", tuple(rows))

    def indexes(self, specs: Sequence[FaissSpec]) -> Question:
        """Compare index types with exact search: what they find, and how fast."""
        truth = self._flat.search(self._queries, min(DEPTH, len(self._flat))).ids
        keys = np.arange(len(self._base.pool))
        rows = []
        for spec in specs:
            started = perf_counter()
            index = _filled(spec, keys, self._base.pool)
            built = perf_counter() - started
            found = self._found(index, self._queries)
            measured = {
                "index_recall@10": 100 * _shared(found, truth),
                "ms_a_query": 1000 * self._seconds(index),
                "seconds_to_build": built,
            }
            label = f"{spec.factory} {spec.tuning}".strip()
            rows.append(self._row(label, found, measured))
        return Question("index", tuple(rows))

    def precisions(self, names: Sequence[str]) -> Question:
        """Compare the precision that queries are encoded in."""
        base = self._base
        rows = []
        for name in names:
            vectors = self._vectors.of(base.texts, base.prompt, name)
            cosines = np.einsum("nd,nd->n", vectors, self._queries)
            least = {"least_cosine_to_base": min(1.0, float(cosines.min()))}
            rows.append(self._row(name, self._found(self._flat, vectors), least))
        return Question("precision", tuple(rows))

    def _nested(self) -> tuple[Ids, int]:
        """Order the pool: correct items first, then the rest as the seed shuffles it."""
        kept = np.array(sorted(set().union(*self._base.correct)), np.int64)
        rest = np.setdiff1d(np.arange(len(self._base.pool)), kept)
        drawn = np.random.default_rng(self._base.seed).permutation(rest)
        return np.concatenate([kept, drawn]), len(kept)

    def _found(self, index: VectorIndex, queries: Vectors, depth: int = DEPTH) -> Ids:
        return index.search(queries, min(depth, len(index))).ids

    def _seconds(self, index: VectorIndex) -> float:
        """Take the median time of one query alone."""
        times = []
        for query in self._queries[:_TIMED]:
            started = perf_counter()
            index.search(query[None], min(DEPTH, len(index)))
            times.append(perf_counter() - started)
        return float(np.median(times))

    def _judged(self, found: Ids) -> list[JudgedRanking]:
        return [
            JudgedRanking([key for key in row if key >= 0], correct)
            for row, correct in zip(found.tolist(), self._base.correct, strict=True)
        ]

    def _row(self, label: str, found: Ids, measured: dict[str, float] | None = None) -> Row:
        values = per_query(self._judged(found), DEPTH)
        return _row(label, {name: values[name] for name in WANTED}, measured)


def _row(
    label: str,
    values: dict[str, npt.NDArray[np.float64]],
    measured: dict[str, float] | None = None,
) -> Row:
    bounds = intervals(values)
    return Row(
        label,
        {name: 100 * value for name, value in means(values).items()},
        {name: 100 * low for name, (low, _) in bounds.items()},
        {name: 100 * high for name, (_, high) in bounds.items()},
        measured or {},
    )


def _filled(spec: FaissSpec, keys: Ids, pool: Vectors) -> VectorIndex:
    index = create_index(spec, pool.shape[1])
    index.add(keys, np.ascontiguousarray(pool[keys]))
    return index


def _shared(found: Ids, truth: Ids) -> float:
    shared = [np.intersect1d(a, b).size for a, b in zip(found, truth, strict=True)]
    return float(np.mean(shared) / truth.shape[1])
