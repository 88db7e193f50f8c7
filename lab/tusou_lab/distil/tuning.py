"""Search parameters of a bundle's approximate index for the queries of a student."""

import re
from collections.abc import Iterator

from tusou.bundle.biased_vectors import add_bias, as_queries
from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import INDEX
from tusou.core.arrays import Vectors
from tusou.encoders.student.record import StudentTuning
from tusou.evaluation.index_recall import exact_neighbors, index_recall
from tusou.indexes import load_index
from tusou.indexes.specs import FaissSpec, format_tuning, index_spec, parse_tuning

_K = 10
_TARGET = 0.99  # where the bundle records none
_DOUBLINGS = 8
_MOST = {"k_factor_rf": 64, "efSearch": 4096}  # of IVF's nprobe, the lists
# Search parameters of an index whose own are not set.
_DEFAULTS = {"IVF": "nprobe=1", "HNSW": "efSearch=16"}


def tune_index(bundle: Bundle, queries: Vectors) -> StudentTuning | None:
    """Return parameters with which the index finds its target for queries (n, d); None if exact.

    The bundle's own parameters are doubled until enough of the exact results are found, so that no
    other query finds less than before.
    """
    spec = index_spec(bundle.manifest.index)
    if not isinstance(spec, FaissSpec) or bundle.manifest.index.index_recall_at_10 is None:
        return None
    pool = bundle.vectors
    if bundle.hub_bias is not None:
        pool, queries = add_bias(pool, bundle.hub_bias), as_queries(queries, adjust=True)
    exact = exact_neighbors(pool, queries, _K)
    index = load_index(spec, bundle.path(INDEX), "cpu", bundle.index_vectors)
    target = bundle.manifest.index.target_recall or _TARGET
    tried: list[tuple[str, float]] = []
    for tuning in _tunings(spec):
        index.tune(tuning)
        ids = index.search(queries, _K).ids
        tried.append((tuning, index_recall(pool, queries, ids, exact, _K)))
        if tried[-1][1] >= target:
            break
    tuning, recall = max(tried, key=lambda trial: (trial[1] >= target, trial[1]))
    return StudentTuning(
        index_sha256=bundle.manifest.files[INDEX].sha256,
        factory=spec.factory,
        tuning=tuning,
        index_recall_at_10=recall,
        before=tried[0][1],
        target_recall=target,
        queries=len(queries),
    )


def _tunings(spec: FaissSpec) -> Iterator[str]:
    """Yield the index's own parameters, then all of them doubled again and again."""
    yield spec.tuning
    defaults = [text for kind, text in _DEFAULTS.items() if kind in spec.factory]
    written = spec.tuning or ",".join(defaults)
    numbers = parse_tuning(written)
    lists = re.search(r"IVF(\d+)", spec.factory)
    most = _MOST | {"nprobe": int(lists[1]) if lists else 1}
    before = dict(numbers)
    for doubling in range(1, _DOUBLINGS + 1):
        raised = {
            name: max(value, min(value * 2**doubling, most.get(name, value)))
            for name, value in numbers.items()
        }
        if raised == before:
            return
        before = raised
        yield format_tuning(raised)
