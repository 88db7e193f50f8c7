"""Choose index type and search parameters for a pool: the least reading that finds enough.

Nothing here looks at a clock: the choice rests on measured recall and on the bytes that a search
has to read, so that building again gives the same bytes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log2, sqrt

import numpy as np

from indexer.probes import Judge, K
from tusou.config import FaissSpec
from tusou.errors import InvalidRequest
from tusou.indexes import VectorIndex, create_index
from tusou.manifest import Trial
from tusou.types import Vectors

AUTO = "auto"
# Up to here `auto` answers what exact search answers.
EXACT_ITEMS = 200_000
EXACT_RECALL = 0.999
TARGET_RECALL = 0.99

# Vectors that fit into a core's cache are compared in the time that anything else takes to begin.
_CACHED_BYTES = 8 * 2**20
# A vector fetched out of order costs as much as so many read in a row.
_SCATTERED = 3
# How many times less than a plain scan an index must read to take its place.
_WORTH = 4
_NPROBES = tuple(2**power for power in range(13))
_REFINED = (4, 8, 16, 32, 64)  # candidates compared exactly, for each item asked for


@dataclass(frozen=True, slots=True)
class Wanted:
    """What index to build."""

    factory: str = AUTO  # or a FAISS factory string
    target_recall: float | None = None  # None: 0.999 up to 200,000 items, 0.99 beyond
    on_gpu: bool = False  # where it will be searched; a GPU knows no fast-scan codes


@dataclass(frozen=True, slots=True)
class Tuned:
    """A filled index, how it was made, and what was measured on the way to it."""

    index: VectorIndex
    spec: FaissSpec
    index_recall: float | None  # None for one that is exact
    trials: tuple[Trial, ...] = ()


def build_index(vectors: Vectors, wanted: Wanted, texts: Callable[[], Vectors]) -> Tuned:
    """Build the index of a FAISS factory string, or for `auto` the one that suits the pool.

    `vectors` (n, d) may be mapped from a file; `texts` gives probes that are texts, if any are
    needed. Of the indexes and parameters that reach the wanted index_recall@10, `auto` takes the
    one whose search reads least; a given factory gets the first parameters that reach it, or the
    last there are. InvalidRequest for a target that is no share.
    """
    shape = len(vectors), vectors.shape[1]
    target = _target(wanted, len(vectors))
    factories = _factories(*shape, wanted)
    if factories == ["Flat"]:
        return _flat(vectors)
    judge = Judge(vectors, texts())
    exact_or_nothing = wanted.factory == AUTO and len(vectors) <= EXACT_ITEMS
    budget = _bytes_read("Flat", "", *shape) / _WORTH if exact_or_nothing else inf
    best, trials = None, list[Trial]()
    for factory in factories:
        tunings = [one for one in _tunings(factory) if _bytes_read(factory, one, *shape) < budget]
        if not tunings:
            continue
        tuned = _tune(_filled(vectors, factory), factory, tunings, judge, target)
        trials += tuned.trials
        last_resort = best is None and factory == factories[-1] and not exact_or_nothing
        if tuned.trials[-1].index_recall_at_10 >= target or last_resort:
            best, budget = tuned, _bytes_read(factory, tuned.spec.tuning, *shape)
    if best is None:
        return _flat(vectors, tuple(trials))
    return Tuned(best.index, best.spec, best.index_recall, tuple(trials))


def check_wanted(wanted: Wanted, dim: int) -> None:
    """Raise InvalidRequest now for what `build_index` would refuse hours later."""
    _target(wanted, 0)
    if wanted.factory != AUTO:
        create_index(FaissSpec(wanted.factory), dim)


def _target(wanted: Wanted, count: int) -> float:
    if wanted.target_recall is None:
        return EXACT_RECALL if wanted.factory == AUTO and count <= EXACT_ITEMS else TARGET_RECALL
    if not 0 < wanted.target_recall <= 1:
        raise InvalidRequest(f"--target-recall {wanted.target_recall:g}: give a share such as 0.95")
    return wanted.target_recall


def _factories(count: int, dim: int, wanted: Wanted) -> list[str]:
    """List what to try, the least reading first."""
    if wanted.factory != AUTO:
        return [wanted.factory]
    if count <= EXACT_ITEMS:
        small = count * dim * 4 <= _CACHED_BYTES
        if small or wanted.on_gpu or dim % 8:
            return ["Flat"]
        quarter, half = dim // 4, dim // 2
        return [
            f"PCAR{quarter},PQ{dim // 8}x4fs,RFlat",
            f"PCAR{quarter},PQ{quarter}x4fs,RFlat",
            f"PCAR{half},PQ{quarter}x4fs,RFlat",
            f"PQ{quarter}x4fs,RFlat",
            f"PQ{half}x4fs,RFlat",
        ]
    lists = int(2 ** round(log2(4 * sqrt(count))))  # FAISS's own advice
    plain = f"IVF{lists},Flat"
    return [plain] if wanted.on_gpu or dim % 8 else [f"IVF{lists},PQ{dim // 4}x4fs,RFlat", plain]


def _tunings(factory: str) -> list[str]:
    refined = factory.endswith("RFlat")
    if "IVF" in factory:
        tail = f",k_factor_rf={_REFINED[-2]}" if refined else ""
        return [f"nprobe={number}{tail}" for number in _NPROBES]
    return [f"k_factor_rf={number}" for number in _REFINED] if refined else [""]


def _filled(vectors: Vectors, factory: str) -> VectorIndex:
    index = create_index(FaissSpec(factory), vectors.shape[1])
    index.add(np.arange(len(vectors), dtype=np.int64), np.ascontiguousarray(vectors))
    return index


def _flat(vectors: Vectors, trials: tuple[Trial, ...] = ()) -> Tuned:
    return Tuned(_filled(vectors, "Flat"), FaissSpec("Flat"), None, trials)


def _tune(
    index: VectorIndex, factory: str, tunings: list[str], judge: Judge, target: float
) -> Tuned:
    """Take the first parameters that reach the target, or else the last."""
    trials = []
    for tuning in tunings:
        index.tune(tuning)
        recall = judge.recall(index)
        trials.append(Trial(factory=factory, tuning=tuning, index_recall_at_10=recall))
        if recall >= target:
            break
    return Tuned(index, FaissSpec(factory, tuning), recall, tuple(trials))


def _bytes_read(factory: str, tuning: str, count: int, dim: int) -> float:
    """Estimate what one search for ten items reads, in bytes read in a row."""
    vector = dim * 4
    numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", tuning)}
    codes = re.search(r"PQ(\d+)x4", factory)
    item = int(codes[1]) / 2 if codes else vector
    projected = re.search(r"PCAR(\d+)", factory)
    width = int(projected[1]) if projected else dim
    lists = re.search(r"IVF(\d+)", factory)
    share, table = 1.0, vector * width if projected else 0
    if lists:
        share = min(1, numbers["nprobe"] / int(lists[1]))
        table += int(lists[1]) * width * 4
    return table + count * share * item + numbers.get("k_factor_rf", 0) * K * vector * _SCATTERED
