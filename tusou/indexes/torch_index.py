"""Exact search by a matrix product and top-k in torch, on a processor or a GPU."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from tusou.bundle.array_file import data_offset, save_array
from tusou.bundle.vector_file import VECTOR_TYPE, VectorFile
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import InvalidRequest
from tusou.indexes.base import best_first
from tusou.indexes.specs import TorchSpec
from tusou.indexes.subset_search import search_subset

# Items scored at once; bounds the block of scores (queries, items).
_BLOCK = 1 << 20
# Items copied and scored at once in a search among some of them.
_SUBSET_BLOCK = 1 << 16
# Vectors copied to the device at once.
_COPIED = 1 << 14


class TorchIndex:
    """All vectors in one tensor, compared with every query, in float32."""

    def __init__(self, spec: TorchSpec, dim: int, device: str = "cpu") -> None:
        del spec
        self.dim = dim
        self._device = torch.device(device)
        self._vectors = torch.empty((0, dim), device=self._device)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def min_items(self) -> int:
        """The least number of vectors, one: nothing is trained."""
        return 1

    def fill(self, vectors: Vectors) -> None:
        parts = (vectors[start : start + _COPIED] for start in range(0, len(vectors), _COPIED))
        self._copy(parts, len(vectors))

    def _copy(self, parts: Iterable[Vectors], count: int) -> None:
        self._vectors = torch.empty((count, self.dim), device=self._device)
        start = 0
        for part in parts:
            self._vectors[start : start + len(part)] = torch.tensor(part)
            start += len(part)

    def search(self, queries: Vectors, k: int) -> Neighbors:
        scores, ids = self._top_k(torch.tensor(queries, device=self._device), k)
        return best_first(ids.cpu().numpy(), scores.cpu().numpy(), k)

    def search_among(self, queries: Vectors, k: int, keys: Ids) -> Neighbors:
        if self._device.type == "cpu":
            return search_subset(self._vectors.numpy(), queries, k, keys)
        scores, ids = self._top_k_among(
            torch.tensor(queries, device=self._device), k, torch.tensor(keys, device=self._device)
        )
        return best_first(ids.cpu().numpy(), scores.cpu().numpy(), k)

    @torch.inference_mode()
    def _top_k_among(self, queries: Tensor, k: int, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and keys of the k best items of each block of row keys."""
        scores, ids = queries[:, :0], keys.expand(len(queries), -1)[:, :0]
        for start in range(0, len(keys), _SUBSET_BLOCK):
            part = keys[start : start + _SUBSET_BLOCK]
            block = queries @ self._vectors[part].T
            best, positions = block.sort(dim=1, descending=True, stable=True)  # ties by key
            scores = torch.cat([scores, best[:, :k]], 1)
            ids = torch.cat([ids, part[positions[:, :k]]], 1)
        return scores, ids

    @torch.inference_mode()
    def _top_k(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return scores and ids of the k best items of each block, on the index's device."""
        scores = queries[:, :0]
        ids = torch.empty((len(queries), 0), dtype=torch.int64, device=queries.device)
        for start in range(0, len(self), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = queries @ self._vectors[rows].T
            best, positions = block.topk(min(k, block.shape[1]))
            scores = torch.cat([scores, best], 1)
            ids = torch.cat([ids, positions + start], 1)
        return scores, ids

    def tune(self, tuning: str) -> None:
        if tuning:
            raise InvalidRequest(f"the torch index has nothing to tune, got {tuning!r}")

    def save(self, path: Path) -> None:
        """Write an array of no vectors: the stored ones are in a file of their own."""
        save_array(path, np.empty((0, self.dim), VECTOR_TYPE))

    @classmethod
    def load(
        cls, spec: TorchSpec, path: Path, device: str = "cpu", vectors: VectorFile | None = None
    ) -> Self:
        """Return the index of stored vectors; `auto` puts it on a GPU if there is one.

        Raises CorruptBundle for a file that `save` did not write.
        """
        if vectors is None:
            raise ValueError("the torch index is loaded from the stored vectors")
        data_offset(path, VECTOR_TYPE, (0, vectors.dim))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        index = cls(spec, vectors.dim, device)
        index._copy(vectors.blocks(), len(vectors))
        return index
