"""Chooses index and search parameters for a pool: the least reading that finds enough.

No clock is involved. The choice rests on measured recall and on the bytes that a search reads, so
that building again gives the same bytes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

from tusou.bundle.manifest import CollectionRecord, IndexRecord, TuningTrial
from tusou.core.arrays import Vectors
from tusou.indexes import VectorIndex, create_index
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou_indexer.index.candidates import bytes_read, candidate_factories, search_parameters
from tusou_indexer.index.recall_probes import RecallProbes
from tusou_indexer.index.request import IndexRequest

# An index must read this many times less than a plain scan to replace it.
_WORTH = 4


@dataclass(frozen=True, slots=True)
class TunedIndex:
    """A filled index, its specification, and the measurements that led to it."""

    index: VectorIndex
    spec: IndexSpec
    index_recall: float | None  # None for an exact index
    trials: tuple[TuningTrial, ...] = ()
    target: float | None = None  # of an index whose recall was measured
    collection: CollectionRecord | None = None  # of an index on Milvus

    @property
    def record(self) -> IndexRecord:
        """The manifest's record of the index."""
        return IndexRecord(
            type=self.spec.index_type,
            factory=self.spec.factory,
            tuning=self.spec.tuning,
            index_recall_at_10=self.index_recall,
            trials=self.trials,
            target_recall=self.target,
            collection=self.collection,
        )


def build_index(
    vectors: Vectors, request: IndexRequest, probes: Callable[[], Vectors]
) -> TunedIndex:
    """Build the requested index, or for `auto` the one that suits the pool.

    `vectors` (n, d) may be mapped from a file, and have biases. `probes` returns query vectors of
    the other kind than the items; it is called only if an index is measured. Among the indexes and
    parameters that reach the target of index_recall@10, `auto` takes those whose search reads
    least. If none does, it takes those that find most. A given factory string gets its parameters
    likewise. Raises InvalidRequest for a target that is not a share, and when no index fits the
    memory.
    """
    shape = len(vectors), vectors.shape[1]
    target = request.target(len(vectors))
    candidates = candidate_factories(*shape, request)
    if candidates == ["Flat"]:
        return _flat_index(vectors)
    if candidates == [TorchSpec.factory]:
        return TunedIndex(_filled_index(vectors, TorchSpec()), TorchSpec(), None)
    from tusou.indexes.faiss_index import FaissIndex  # noqa: PLC0415 - imports FAISS
    from tusou.indexes.faiss_training import SharedTraining  # noqa: PLC0415 - imports FAISS

    recall_probes = RecallProbes(vectors, probes())
    limit = bytes_read("Flat", "", *shape) / _WORTH if "Flat" in candidates else inf
    best, trials, training = None, list[TuningTrial](), SharedTraining()
    for factory in candidates:
        if factory == "Flat" or _least_bytes_read(factory, shape) >= limit:
            continue
        index = FaissIndex(FaissSpec(factory), shape[1])
        index.fill(vectors, training)
        tried, reached = _tune(index, factory, recall_probes, target, shape, limit)
        trials += tried
        if reached:
            best, limit = (index, reached), bytes_read(factory, reached.tuning, *shape)
        elif "Flat" not in candidates:
            closest = max(tried, key=_recall)
            if best is None or _recall(best[1]) < min(target, _recall(closest)):
                best = index, closest
        del index  # free a rejected index before the next one is built
    if best is None:
        return _flat_index(vectors, tuple(trials))
    index, trial = best
    index.tune(trial.tuning)
    spec = FaissSpec(trial.factory, trial.tuning)
    return TunedIndex(index, spec, _recall(trial), tuple(trials), target)


def _tune(
    index: VectorIndex,
    factory: str,
    recall_probes: RecallProbes,
    target: float,
    shape: tuple[int, int],  # items, dimensions
    limit: float,
) -> tuple[list[TuningTrial], TuningTrial | None]:
    """Measure an index until it reaches the target; return all trials, and the one that does.

    The number of lists to visit comes first, with the most candidates compared exactly; then the
    fewest candidates that are enough. Settings that read `limit` bytes or more are not tried.
    """
    lists, candidates = search_parameters(factory)
    trials: list[TuningTrial] = []

    def first_to_reach(tunings: Iterable[str]) -> TuningTrial | None:
        for tuning in tunings:
            index.tune(tuning)
            recall = recall_probes.recall(index)
            trials.append(TuningTrial(factory=factory, tuning=tuning, index_recall_at_10=recall))
            if recall >= target:
                return trials[-1]
        return None

    def affordable(tuning: str) -> bool:
        return bytes_read(factory, tuning, *shape) < limit

    affordable_lists = (setting for setting in lists if affordable(_join(setting, candidates[0])))
    reached = first_to_reach(_join(setting, candidates[-1]) for setting in affordable_lists)
    if not reached:
        return trials, None
    nprobe = reached.tuning.partition(",")[0] if len(lists) > 1 else ""
    finer = first_to_reach(
        tuning for setting in candidates[:-1] if affordable(tuning := _join(nprobe, setting))
    )
    return trials, finer or (reached if affordable(reached.tuning) else None)


def _join(*settings: str) -> str:
    return ",".join(filter(None, settings))


def _least_bytes_read(factory: str, shape: tuple[int, int]) -> float:
    lists, candidates = search_parameters(factory)
    return bytes_read(factory, _join(lists[0], candidates[0]), *shape)


def _recall(trial: TuningTrial) -> float:
    return trial.index_recall_at_10


def _filled_index(vectors: Vectors, spec: IndexSpec) -> VectorIndex:
    index = create_index(spec, vectors.shape[1])
    index.fill(vectors)
    return index


def _flat_index(vectors: Vectors, trials: tuple[TuningTrial, ...] = ()) -> TunedIndex:
    spec = FaissSpec("Flat")
    return TunedIndex(_filled_index(vectors, spec), spec, None, trials)
