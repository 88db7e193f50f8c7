"""Choose index type and search parameters for a pool: the least reading that finds enough.

Nothing here looks at a clock: the choice rests on measured recall and on the bytes that a search
has to read, so that building again gives the same bytes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

import numpy as np

from tusou.bundle.manifest import TuningTrial
from tusou.core.arrays import Vectors
from tusou.indexes import VectorIndex, create_index
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou_indexer.index.candidates import bytes_read, factories, parameters
from tusou_indexer.index.recall_probes import RecallProbes
from tusou_indexer.index.request import IndexRequest

# How many times less than a plain scan an index must read to take its place.
_WORTH = 4

PoolShape: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tuned:
    """A filled index, how it was made, and what was measured on the way to it."""

    index: VectorIndex
    spec: FaissSpec | TorchSpec
    index_recall: float | None  # None for one that is exact
    trials: tuple[TuningTrial, ...] = ()


def build_index(vectors: Vectors, wanted: IndexRequest, texts: Callable[[], Vectors]) -> Tuned:
    """Build the index of a FAISS factory string, or for `auto` the one that suits the pool.

    `vectors` (n, d) may be mapped from a file; `texts` gives probes that are texts, if any are
    needed. Of the indexes and parameters that reach the wanted index_recall@10, `auto` takes the
    one whose search reads least, or else the one that finds most; a given factory gets the
    parameters of which the same is true. InvalidRequest for a target that is no share, and for a
    memory in which no index fits.
    """
    shape = len(vectors), vectors.shape[1]
    target = wanted.target(len(vectors))
    those = factories(*shape, wanted)
    if those == ["Flat"]:
        return _flat(vectors)
    if those == [TorchSpec.factory]:
        return Tuned(_filled(vectors, TorchSpec()), TorchSpec(), None)
    judge = RecallProbes(vectors, texts())
    limit = bytes_read("Flat", "", *shape) / _WORTH if "Flat" in those else inf
    best, trials = None, list[TuningTrial]()
    for factory in those:
        if factory == "Flat" or _cheapest(factory, shape) >= limit:
            continue
        index = _filled(vectors, FaissSpec(factory))
        tried, found = _climb(index, factory, judge, target, shape, limit)
        trials += tried
        if found:
            best, limit = (index, found), bytes_read(factory, found.tuning, *shape)
        elif "Flat" not in those:
            most = max(tried, key=_recall)
            if best is None or _recall(best[1]) < min(target, _recall(most)):
                best = index, most
        del index  # what was not taken must not stay while the next one is built
    if best is None:
        return _flat(vectors, tuple(trials))
    index, taken = best
    index.tune(taken.tuning)
    return Tuned(index, FaissSpec(taken.factory, taken.tuning), _recall(taken), tuple(trials))


def _climb(
    index: VectorIndex,
    factory: str,
    judge: RecallProbes,
    target: float,
    shape: PoolShape,
    limit: float,
) -> tuple[list[TuningTrial], TuningTrial | None]:
    """Measure an index until it reaches the target; return what was measured, and what does.

    First the lists to visit, comparing as many candidates as there may be; then how few of these
    are enough.
    """
    probes, factors = parameters(factory)
    trials: list[TuningTrial] = []

    def first(tunings: Iterable[str]) -> TuningTrial | None:
        for tuning in tunings:
            index.tune(tuning)
            recall = judge.recall(index)
            trials.append(TuningTrial(factory=factory, tuning=tuning, index_recall_at_10=recall))
            if recall >= target:
                return trials[-1]
        return None

    def affordable(tuning: str) -> bool:
        return bytes_read(factory, tuning, *shape) < limit

    coarse = (one for one in probes if affordable(_join(one, factors[0])))
    reached = first(_join(one, factors[-1]) for one in coarse)
    if not reached:
        return trials, None
    probe = reached.tuning.partition(",")[0] if len(probes) > 1 else ""
    finer = first(tuning for one in factors[:-1] if affordable(tuning := _join(probe, one)))
    return trials, finer or (reached if affordable(reached.tuning) else None)


def _join(*settings: str) -> str:
    return ",".join(filter(None, settings))


def _cheapest(factory: str, shape: PoolShape) -> float:
    probes, factors = parameters(factory)
    return bytes_read(factory, _join(probes[0], factors[0]), *shape)


def _recall(trial: TuningTrial) -> float:
    return trial.index_recall_at_10


def _filled(vectors: Vectors, spec: IndexSpec) -> VectorIndex:
    index = create_index(spec, vectors.shape[1])
    index.add(np.arange(len(vectors), dtype=np.int64), np.ascontiguousarray(vectors))
    return index


def _flat(vectors: Vectors, trials: tuple[TuningTrial, ...] = ()) -> Tuned:
    spec = FaissSpec("Flat")
    return Tuned(_filled(vectors, spec), spec, None, trials)
