"""An index in a collection of a Milvus server."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from tusou.attributes.filters import Filter
from tusou.attributes.schema import Attributes, AttributeSchema
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import CorruptBundle, IncompatibleBundle, IndexUnavailable, InvalidRequest
from tusou.core.files import DAMAGED_FILE_ERRORS, create_file
from tusou.indexes.base import best_first
from tusou.indexes.milvus_changes import MilvusChanges
from tusou.indexes.milvus_collection import CONSISTENCY, KEY, VECTOR, Collection
from tusou.indexes.milvus_columns import check_attributes, columns_of
from tusou.indexes.milvus_filter import Expression, translate
from tusou.indexes.milvus_server import MilvusServer
from tusou.indexes.refined_search import rank_candidates
from tusou.indexes.specs import MilvusSpec
from tusou.indexes.subset_search import search_subset

_INSERTED = 10_000  # vectors of `fill` at once
_MAX_LIMIT = 16_384  # results of one query in Milvus
# RerankCandidates beyond k: they show whether the last ones tie.
_SPARE = 8
# Milvus adds in another order; inner products of unit vectors differ by less than this.
_ROUNDING = 1e-5


class MilvusIndex:
    """All vectors of a version in one collection, compared with every query by Milvus.

    The scores of an index that was loaded with the stored vectors are computed from these, so that
    they are the same as those of `search_among`, and equal vectors have equal scores.
    """

    def __init__(self, spec: MilvusSpec, dim: int, vectors: VectorFile | None = None) -> None:
        self._spec, self.dim, self._vectors = spec, dim, vectors
        self._columns = columns_of(dict(spec.attributes))
        self.collection = Collection(MilvusServer(spec.uri, spec.seconds), spec.collection)
        self._count = 0
        self._keys = 0  # row keys are below it

    def __len__(self) -> int:
        return self._count

    @property
    def server(self) -> Collection:
        """The collection, which tells whether Milvus can search it."""
        return self.collection

    def check_attributes(self, attributes: Attributes, schema: AttributeSchema) -> None:
        check_attributes(attributes, schema)

    def open_changes(self) -> MilvusChanges:
        return MilvusChanges(self._spec, self._columns, self._keys, self.dim)

    @property
    def min_items(self) -> int:
        """The least number of vectors, one: nothing is trained."""
        return 1

    def fill(self, vectors: Vectors) -> None:
        """Store all vectors, without ids and attributes of items."""
        for start in range(0, len(vectors), _INSERTED):
            rows = vectors[start : start + _INSERTED]
            self.add(np.arange(start, start + len(rows)), np.ascontiguousarray(rows))

    def add(
        self,
        ids: Ids,
        vectors: Vectors,
        item_ids: Sequence[str] | None = None,
        attributes: Sequence[Attributes] | None = None,
    ) -> None:
        """Store vectors under new ids, with the ids and the attributes of their items.

        The first vectors make the collection, in place of one of the same name.
        """
        columns = list(self._columns.values())
        if not self._count:
            self.collection.create(self.dim, columns, self._spec.ids_sha256)
        self.collection.insert(
            columns,
            ids,
            vectors,
            [""] * len(ids) if item_ids is None else item_ids,
            [{}] * len(ids) if attributes is None else attributes,
        )
        self._count += len(ids)
        self._keys = max(self._keys, int(ids.max(initial=-1)) + 1)

    def adopt(self, count: int) -> bool:
        """Return whether the collection holds the rows of `count` items already, and use it."""
        collection = self.collection
        if not collection.exists() or collection.ids_sha256() != self._spec.ids_sha256:
            return False
        if not collection.holds_keys(count):
            return False
        self._count = self._keys = count
        return True

    def search(self, queries: Vectors, k: int) -> Neighbors:
        return self._search(queries, k, selected=True)

    def search_where(self, queries: Vectors, k: int, selected: Filter) -> Neighbors:
        """Return the k best per query among the items that pass a filter, ties by key.

        The filter was checked with the attributes' schema.
        """
        return self._search(queries, k, translate(selected, self._columns))

    def search_among(self, queries: Vectors, k: int, keys: Ids) -> Neighbors:
        """Return the k best per query among row keys, without asking Milvus.

        ValueError without the stored vectors.
        """
        if self._vectors is None:
            raise ValueError("this index was loaded without the stored vectors")
        return search_subset(self._vectors, queries, k, keys)

    def _search(self, queries: Vectors, k: int, selected: Expression) -> Neighbors:
        if selected is False or not self._count:
            return _padding(len(queries), k)
        expression = "" if selected is True else selected
        limit = min(k + _SPARE, self._count)
        candidates = self._candidates(queries, limit, expression)
        while limit < self._count and not _surely_complete(candidates, k):
            limit = min(2 * limit, self._count)
            candidates = self._candidates(queries, limit, expression)
        if self._vectors is not None:
            return rank_candidates(self._vectors, queries, candidates.ids, k)
        return best_first(candidates.ids, candidates.scores, k)

    def _candidates(self, queries: Vectors, limit: int, expression: str) -> Neighbors:
        """Return the best items per query that an expression selects, in Milvus's order."""
        if limit <= _MAX_LIMIT:
            return self._found(queries, limit, _within(expression, 0, self._keys))
        # Milvus returns no more for one query, so each part of the pool has a search of its own.
        parts = [
            self._found(
                queries,
                _MAX_LIMIT,
                _within(expression, start, min(start + _MAX_LIMIT, self._keys)),
            )
            for start in range(0, self._keys, _MAX_LIMIT)
        ]
        ids = np.hstack([part.ids for part in parts])
        return best_first(ids, np.hstack([part.scores for part in parts]), limit)

    def _found(self, queries: Vectors, limit: int, expression: str) -> Neighbors:
        seconds = self.collection.server.seconds
        results = self.collection.ask(
            lambda client: client.search(
                self.collection.name,
                data=list(queries),
                anns_field=VECTOR,
                filter=expression,
                limit=limit,
                output_fields=[KEY],
                search_params={"metric_type": "IP", "params": {}},
                consistency_level=CONSISTENCY,
                timeout=seconds,
            )
        )
        neighbors = _padding(len(queries), limit)
        for row, hits in enumerate(results):
            neighbors.ids[row, : len(hits)] = hits.ids
            neighbors.scores[row, : len(hits)] = hits.distances
        return neighbors

    def tune(self, tuning: str) -> None:
        if tuning:
            raise InvalidRequest(f"the Milvus index has nothing to tune, got {tuning!r}")

    def save(self, path: Path) -> None:
        """Make the rows durable in Milvus, and write what `load` needs to find them.

        Raises IndexUnavailable when Milvus holds another number of rows than were added.
        """
        self.collection.seal()
        if (stored := self.collection.count(f"{KEY} < {self._keys}")) != self._count:
            raise IndexUnavailable(
                f"Milvus at {self.collection.server.address} holds {stored:,} rows of "
                f"{self._count:,}; run `tusou index` again"
            )
        head = {
            "collection": self._spec.collection,
            "dim": self.dim,
            "count": self._count,
            "attributes": dict(self._spec.attributes),
        }
        with create_file(path) as file:
            file.write(json.dumps(head, ensure_ascii=False).encode())

    @classmethod
    def load(
        cls, spec: MilvusSpec, path: Path, device: str = "cpu", vectors: VectorFile | None = None
    ) -> Self:
        """Open the collection of an index that `save` wrote.

        Raises IndexUnavailable when Milvus does not answer, and IncompatibleBundle when it has no
        such collection, or one with other ids or another number of rows.
        """
        del device
        head = _read_head(path)
        if head["collection"] != spec.collection:
            raise CorruptBundle(f"{path} names another collection than the manifest; index again")
        attributes = tuple(sorted(head["attributes"].items()))
        index = cls(replace(spec, attributes=attributes), head["dim"], vectors)
        index._count = index._keys = head["count"]
        index.check()
        return index

    def check(self) -> None:
        """Raise IncompatibleBundle unless the collection holds the version's rows."""
        collection, place = self.collection, f"Milvus at {self.collection.server.address}"
        if not collection.exists():
            raise IncompatibleBundle(f"{place} has no collection {collection.name}; index again")
        if not self.adopt(self._count):
            raise IncompatibleBundle(
                f"the collection {collection.name} of {place} holds other items than this version; "
                "index again"
            )


def _read_head(path: Path) -> dict[str, Any]:
    """Return the content of a file that `save` wrote; CorruptBundle."""
    try:
        head: dict[str, Any] = json.loads(path.read_bytes())
        types = {name: type(head[name]) for name in ("collection", "dim", "count", "attributes")}
        if list(types.values()) != [str, int, int, dict]:
            raise ValueError("values of another type")
    except DAMAGED_FILE_ERRORS as error:
        raise CorruptBundle(f"{path} is not a Milvus index: {str(error)[:160]}") from None
    return head


def _padding(count: int, k: int) -> Neighbors:
    return Neighbors(np.full((count, k), -1, np.int64), np.full((count, k), -np.inf, np.float32))


def _within(expression: str, start: int, stop: int) -> str:
    """Return the expression of the row keys from `start` to below `stop` that another selects."""
    keys = f"{KEY} >= {start} and {KEY} < {stop}" if start else f"{KEY} < {stop}"
    return f"({expression}) and {keys}" if expression else keys


def _surely_complete(candidates: Neighbors, k: int) -> bool:
    """Return whether the k best and all that tie with them are among the candidates."""
    last = candidates.scores[:, -1]
    below = last < candidates.scores[:, k - 1] - 2 * _ROUNDING
    return bool((np.isneginf(last) | below).all())  # padding: there are no others
