"""Items without files for tests of rankings, and what brute force says about them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tusou.attributes.schema import Attributes, AttributeSchema
from tusou.attributes.table import AttributeTable
from tusou.bundle.biased_vectors import Bias, BiasedVectorFile, add_bias
from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import Manifest
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Ids, Vectors
from tusou.core.ids import ItemId
from tusou.indexes import create_index, load_index
from tusou.indexes.specs import IndexSpec
from tusou.retrieval.grouping import NEAR_DUPLICATE_COSINE
from tusou.retrieval.item_view import VersionView
from tusou.retrieval.pages import PreparedQuery
from tusou.retrieval.query import Query
from tusou.retrieval.searched_items import SearchedItems

SCHEMA: AttributeSchema = {
    "category": "string",
    "price": "integer",
    "product_id": "string",
    "tags": "strings",
}


class DrawnIds:
    """Ids like those of Flickr8k-CN's captions, which are not row keys."""

    def at(self, key: int) -> ItemId:
        return f"{key // 5}.jpg#zhc#{key % 5}"

    def key(self, item_id: str) -> int | None:
        image, _, caption = item_id.partition(".jpg#zhc#")
        return int(image) * 5 + int(caption) if caption else None


class DrawnBundle(Bundle):
    """A bundle of vectors and attributes, without a folder."""

    item_count = 0
    ids = vector_file = attributes = None  # type: ignore[assignment]

    def __init__(self, vectors: VectorFile, rows: Sequence[Attributes] | None) -> None:
        super().__init__(Path("/nowhere"), Manifest.model_construct(), "v1")
        self.item_count = len(vectors)
        self.ids: Any = DrawnIds()
        self.vector_file: Any = vectors
        self.attributes = None if rows is None else AttributeTable.from_rows(SCHEMA, rows)


def draw_attributes(count: int, seed: int = 5) -> list[Attributes]:
    """Draw attributes of which a tenth is missing, with products of one to six images."""
    rng = np.random.default_rng(seed)
    rows: list[Attributes] = []
    for _ in range(count):
        row: dict[str, Any] = {
            "category": str(rng.choice(["连衣裙", "鞋", "包"])),
            "price": int(rng.integers(1, 500)),
            "product_id": f"P{rng.integers(0, 1 + count // 3)}",
            "tags": ["夏季", "新款"][: rng.integers(0, 3)],
        }
        rows.append({name: value for name, value in row.items() if rng.random() > 0.1})
    return rows


def write_attributes(path: Path, count: int, first_id: int) -> list[Attributes]:
    """Write drawn attributes of items with consecutive ids as JSON lines, and return them."""
    rows = draw_attributes(count)
    lines = ({"id": first_id + n, **row} for n, row in enumerate(rows))
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return rows


def make_items(
    spec: IndexSpec,
    vectors: Vectors,
    rows: Sequence[Attributes] | None,
    bias: Bias | None = None,
) -> SearchedItems:
    """Build an index and open it as a bundle's is opened."""
    filling = vectors if bias is None else add_bias(vectors, bias)
    index = create_index(spec, filling.shape[1])
    index.fill(filling)
    with TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "vectors.npy", vectors)
        stored = VectorFile(folder / "vectors.npy", vectors.shape)
        searched = stored
        if bias is not None:
            searched = BiasedVectorFile(folder / "vectors.npy", vectors.shape, bias)
        index.save(folder / "index")
        loaded = load_index(spec, folder / "index", "cpu", searched)
    return SearchedItems(VersionView(DrawnBundle(stored, rows)), loaded, bias)


@dataclass(frozen=True, slots=True)
class BruteForce:
    """Every ranking, computed by comparing all items with each other, in plain loops."""

    vectors: Vectors
    rows: Sequence[Attributes]
    bias: Bias | None = None

    def scores(self, prepared: PreparedQuery) -> Bias:
        """Return what each item is ordered by, (n,)."""
        scores: Bias = self.vectors @ prepared.vector
        return scores - self.bias if self.bias is not None and prepared.query.adjust else scores

    def ranking(self, prepared: PreparedQuery, passing: Sequence[int]) -> list[int]:
        scores = self.scores(prepared)
        keys = [key for key in passing if key not in prepared.excluded_keys]
        return sorted(keys, key=lambda key: (-float(scores[key]), key))

    def shown(self, query: Query, ranking: Sequence[int]) -> list[int]:
        """Return the keys of one hit for each product, and then for each look."""
        for joins in (
            (self.same_product,) if query.distinct else (),
            (self.same_look,) if query.collapse else (),
        ):
            for join in joins:
                shown: list[int] = []
                for key in ranking:
                    if not any(join(key, better) for better in shown):
                        shown.append(key)
                ranking = shown
        return list(ranking)

    def others(self, query: Query, hit: int, ranking: Sequence[int]) -> int:
        return sum(
            (query.distinct is not None and self.same_product(key, hit))
            or (query.collapse and self.same_look(key, hit))
            for key in ranking
            if key != hit
        )

    def same_product(self, a: int, b: int) -> bool:
        product = self.rows[a].get("product_id")
        return product is not None and product == self.rows[b].get("product_id")

    def same_look(self, a: int, b: int) -> bool:
        return float(self.vectors[a] @ self.vectors[b]) >= NEAR_DUPLICATE_COSINE


def prepare(vector: Vectors, query: Query, excluded: frozenset[int] = frozenset()) -> PreparedQuery:
    return PreparedQuery(query, vector, excluded, truncated=False)


def keys_of(items: SearchedItems, ids: Sequence[ItemId]) -> Ids:
    return np.array([items.key(str(item_id)) for item_id in ids], np.int64)
