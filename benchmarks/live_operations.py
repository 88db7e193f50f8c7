"""Random live operations against a dict and brute force, with compactions and restarts between.

python -m benchmarks.live_operations
python -m benchmarks.live_operations --full

Every operation (upserts, patches, deletions, alone and in batches; searches, filters, facets; a
compaction, while the store is open or not; a restart) is done on a bundle and on a dict. After each
change a search, a filter or a look-up is compared; each difference is counted, and there must be
none.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tusou_indexer.compact import compact

from benchmarks.record import record
from benchmarks.vector_bundle import MODEL, unit_vectors, write_vector_bundle
from tusou.attributes.filters import Filter, parse_filter
from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Vectors
from tusou.core.errors import TusouError, UnknownItem
from tusou.indexes import VectorIndex, load_index
from tusou.indexes.base import best_first
from tusou.indexes.specs import index_spec
from tusou.live.operations import Delete, Operation, Patch, Upsert
from tusou.live.snapshot import LiveSnapshot
from tusou.live.store import LiveStore

DIM, K, STEPS = 16, 10, 300
CATEGORIES = ("连衣裙", "皮鞋", "台灯", "地毯", "雨伞")
TAGS = ("夏季", "新款", "清仓", "进口")
SCHEMA = {"category": "string", "price": "number", "stock": "integer"}
_OF_BATCH = ("upsert", "upsert", "patch", "delete")
_CLOSE = 1e-5  # scores of the index and of brute force differ in their last digits


@dataclass
class Model:
    """The items that the bundle should hold."""

    items: dict[str, tuple[Vectors, bytes, dict[str, Any]]] = field(default_factory=dict)

    def apply(self, operation: Operation) -> None:
        if isinstance(operation, Upsert):
            attributes = dict(operation.attributes)
            self.items[operation.item_id] = (operation.vector, operation.content, attributes)
        elif isinstance(operation, Patch):
            vector, content, before = self.items[operation.item_id]
            after = {**before, **operation.attributes}
            kept = {name: value for name, value in after.items() if value is not None}
            self.items[operation.item_id] = vector, content, kept
        else:
            self.items.pop(operation.item_id, None)

    def search(self, query: Vectors, passing: set[str]) -> list[tuple[float, str]]:
        scores = [(-float(query @ self.items[name][0]), name) for name in passing]
        return sorted(scores)[:K]


class Differences(Counter[str]):
    """The number of differences of each kind."""

    def expect(self, kind: str, same: bool) -> None:
        self[kind] += not same


class Run:
    """A bundle and its model, changed by the same operations."""

    def __init__(self, root: Path, items: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.vectors = unit_vectors(4096, seed, DIM)
        self.root, self.model, self.differences = root, Model(), Differences()
        self.next_vector = 0
        drawn = [self._upsert(f"{number}.jpg") for number in range(items)]
        for operation in drawn:
            self.model.apply(operation)
        write_vector_bundle(
            root,
            [operation.item_id for operation in drawn],
            np.stack([operation.vector for operation in drawn]),
            [operation.content for operation in drawn],
            SCHEMA,  # type: ignore[arg-type]
            [{n: v for n, v in o.attributes.items() if n in SCHEMA} for o in drawn],
        )
        for name, (vector, content, attributes) in self.model.items.items():
            kept = {key: value for key, value in attributes.items() if key in SCHEMA}
            self.model.items[name] = vector, content, kept
        self.counts = Counter[str]()
        self.open()

    def open(self) -> None:
        bundle = Bundle.open(self.root)
        self.store = LiveStore(self.root, bundle)
        self.index = open_index(bundle)

    def step(self) -> None:
        """Do one random operation and compare."""
        kind = self.random.choices(
            ("upsert", "patch", "delete", "batch", "search", "filter", "restart", "compact"),
            (24, 14, 7, 6, 16, 20, 1, 1),
        )[0]
        self.counts[kind] += 1
        if kind == "restart":
            self.store.close()
            self.open()
        elif kind == "compact":
            self._compact()
        elif kind == "search":
            self.compare_search(None)
        elif kind == "filter":
            self.compare_search(self._filter())
        else:
            size = self.random.randint(2, 9) if kind == "batch" else 1
            self._change([self._operation(kind) for _ in range(size)])

    def _operation(self, kind: str) -> Operation:
        kind = self.random.choice(_OF_BATCH) if kind == "batch" else kind
        known = self.random.random() < 0.7 and self.model.items
        name = self.random.choice([*self.model.items]) if known else self._new_id()
        if kind == "upsert":
            return self._upsert(name)
        if kind == "delete":
            return Delete(name)
        changes: dict[str, Any] = {**self._attributes()}
        if self.random.random() < 0.4:
            changes[self.random.choice((*SCHEMA, "tags"))] = None
        return Patch(name, changes)

    def _change(self, operations: list[Operation]) -> None:
        """Apply operations in both; a batch with a patch of an absent item changes nothing."""
        staged = Model(dict(self.model.items))
        try:
            for operation in operations:
                staged.apply(operation)
            expected = True
        except KeyError:
            expected = False
        try:
            self.store.change(*operations)
            done = True
        except UnknownItem:
            done = False
        self.differences.expect("outcome", done == expected)
        if expected:
            self.model = staged
        self.compare_items({operation.item_id for operation in operations})

    def _compact(self) -> None:
        """Compact with the store closed, or open and changing while two versions are served."""
        if self.random.random() < 0.5:
            self.store.close()
            compact(self.root)
            self.open()
            return
        old = self.store.snapshot.bundle.version
        compact(self.root)
        bundle = Bundle.open(self.root)
        index = open_index(bundle)
        self.store.attach(bundle)
        self._change([self._operation("upsert")])  # seen by both versions
        self.index = index
        self.store.detach(old)
        self.store.trim()

    def compare_items(self, names: set[str]) -> None:
        snapshot = self.store.snapshot
        self.differences.expect("item count", snapshot.item_count == len(self.model.items))
        for name in names:
            item = self.model.items.get(name)
            if item is None:
                self.differences.expect("a removed item found", snapshot.find(name) is None)
                continue
            try:
                same = snapshot.image(name)[0] == item[1]
                same &= snapshot.item_attributes(name) == item[2]
                same &= bool((snapshot.vector(name) == item[0]).all())
            except TusouError:
                same = False
            self.differences.expect("item", same)

    def compare_search(self, condition: dict[str, Any] | None) -> None:
        """Compare a search, its facets and the number of items that pass."""
        snapshot = self.store.snapshot
        passing = {name for name, item in self.model.items.items() if passes(item[2], condition)}
        mask = snapshot.mask(None if condition is None else parse_filter(condition))
        found = {str(snapshot.id_at(key)) for key in np.flatnonzero(mask).tolist()}
        self.differences.expect("filter", found == passing)
        query = self.vectors[self.random.randrange(len(self.vectors))]
        ids, scores = search(snapshot, self.index, query, mask)
        expected = self.model.search(query, passing)
        exact = [-score for score, _ in expected]
        same = len(exact) == len(scores) and np.allclose(scores, exact, atol=_CLOSE)
        # Any of several items with equal scores may stand at the end.
        self.differences.expect("search", bool(same) and len({*ids} & passing) == len(ids))
        own = [float(query @ self.model.items[name][0]) for name in ids if name in passing]
        self.differences.expect(
            "score", len(own) == len(ids) and np.allclose(own, scores, atol=_CLOSE)
        )
        counts = Counter(
            self.model.items[name][2]["category"]
            for name in passing
            if "category" in self.model.items[name][2]
        )
        self.differences.expect("facet", dict(snapshot.facet("category", mask)) == dict(counts))

    def _upsert(self, name: str) -> Upsert:
        self.next_vector = (self.next_vector + self.random.choice((0, 1, 1, 1))) % len(self.vectors)
        content = b"\xff\xd8\xff" + self.random.randbytes(self.random.randint(1, 80))
        vector = self.vectors[self.next_vector]
        return Upsert(name, content, vector, MODEL, self._attributes())

    def _attributes(self) -> dict[str, Any]:
        drawn: dict[str, Any] = {
            "category": self.random.choice(CATEGORIES),
            "price": float(self.random.randint(1, 40)),
            "stock": self.random.randint(0, 3),
            "tags": self.random.sample(TAGS, self.random.randint(0, 3)),
        }
        return {name: value for name, value in drawn.items() if self.random.random() < 0.7}

    def _new_id(self) -> str:
        return f"新{self.random.randrange(400)}.jpg#zhc#{self.random.randrange(3)}"

    def _filter(self) -> dict[str, Any]:
        draw = self.random
        filters: list[dict[str, Any]] = [
            {"category": draw.choice(CATEGORIES)},
            {"price": {"$lte": draw.randint(1, 40)}},
            {"stock": {"$gt": 1}, "price": {"$gte": 20}},
            {"category": {"$ne": draw.choice(CATEGORIES)}},
            {"price": {"$exists": False}},
            {"$or": [{"stock": 0}, {"category": {"$in": list(CATEGORIES[:2])}}]},
            {"$not": {"category": draw.choice(CATEGORIES)}},
        ]
        if "tags" in self.store.snapshot.schema:
            filters.append({"tags": {"$in": [draw.choice(TAGS)]}})
        return draw.choice(filters)


def open_index(bundle: Bundle) -> VectorIndex:
    """Load the index of a version with its stored vectors."""
    spec = index_spec(bundle.manifest.index)
    return load_index(spec, bundle.path("index.bin"), vectors=bundle.vector_file)


def search(
    snapshot: LiveSnapshot, index: VectorIndex, query: Vectors, mask: Any
) -> tuple[list[str], list[float]]:
    """Return ids and scores of the best items of a mask: the index's and the live ones, merged."""
    queries = query[None]
    n = snapshot.version_size
    stored = index.search_among(queries, K, np.flatnonzero(mask[:n]))
    live = snapshot.search(queries, K, mask)
    best = best_first(np.hstack([stored.ids, live.ids]), np.hstack([stored.scores, live.scores]), K)
    keys = [key for key in best.ids[0].tolist() if key >= 0]
    return [str(snapshot.id_at(key)) for key in keys], best.scores[0, : len(keys)].tolist()


def passes(attributes: dict[str, Any], condition: dict[str, Any] | None) -> bool:
    """Return whether attributes pass a filter, by its definition."""
    return condition is None or _passes(attributes, parse_filter(condition))


def _passes(attributes: dict[str, Any], selected: Filter) -> bool:
    kind = type(selected).__name__
    if kind == "Not":
        return not _passes(attributes, selected.part)  # type: ignore[union-attr]
    if kind in ("AllOf", "AnyOf"):
        results = [_passes(attributes, part) for part in selected.parts]  # type: ignore[union-attr]
        return all(results) if kind == "AllOf" else any(results)
    value = attributes.get(selected.name)  # type: ignore[union-attr]
    return _TESTS[selected.operator](value, selected.value)  # type: ignore[union-attr]


def _values(value: Any) -> set[Any]:
    return set(value) if isinstance(value, list) else {value}


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "$exists": lambda value, operand: (value is not None) == operand,
    "$eq": lambda value, operand: operand in _values(value),
    "$ne": lambda value, operand: operand not in _values(value),
    "$in": lambda value, operand: bool(_values(value) & set(operand)),
    "$lte": lambda value, operand: value is not None and value <= operand,
    "$gte": lambda value, operand: value is not None and value >= operand,
    "$gt": lambda value, operand: value is not None and value > operand,
}


@contextmanager
def bundle_run(root: Path, items: int, seed: int) -> Iterator[Run]:
    """Yield a run over a new bundle; close its store at the end."""
    run = Run(root, items, seed)
    try:
        yield run
    finally:
        run.store.close()


def main() -> None:
    """Do the operations and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="10,000 operations instead of 300")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    steps = 10_000 if arguments.full else STEPS
    started = perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        bundle_run(Path(folder) / "b", arguments.items, arguments.seed) as run,
    ):
        for _ in range(steps):
            run.step()
        run.compare_items({*run.model.items})
    differences = sum(run.differences.values())
    figures: dict[str, object] = {
        "operations": dict(run.counts),
        "items_at_the_end": len(run.model.items),
        "differences": differences,
        "differences_by_kind": {kind: count for kind, count in run.differences.items() if count},
        "seconds": round(perf_counter() - started, 1),
    }
    record("live_operations", figures, save=arguments.full)
    sys.exit(bool(differences))


if __name__ == "__main__":
    main()
