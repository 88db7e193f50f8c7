"""Exact search by a matrix product and top-k in torch, on a processor or a GPU."""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import CorruptBundle, InvalidRequest
from tusou.core.files import DAMAGED_FILE_ERRORS, create_file
from tusou.indexes.base import best_first
from tusou.indexes.specs import TorchSpec
from tusou.indexes.subset_search import search_subset

# Items scored at once; bounds the block of scores (queries, items).
_BLOCK = 1 << 20
# Items copied and scored at once in a search among some of them.
_SUBSET_BLOCK = 1 << 16


class TorchIndex:
    """All vectors in one tensor, compared with every query, in float32."""

    def __init__(self, spec: TorchSpec, dim: int, device: str = "cpu") -> None:
        del spec
        self.dim = dim
        self._device = torch.device(device)
        self._ids = torch.empty(0, dtype=torch.int64, device=self._device)
        self._vectors = torch.empty((0, dim), device=self._device)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def has_row_keys(self) -> bool:
        """Return whether the ids are the positions of the vectors."""
        return torch.equal(self._ids, torch.arange(len(self._ids), device=self._device))

    @property
    def min_items(self) -> int:
        """The least number of vectors, one: nothing is trained."""
        return 1

    def add(self, ids: Ids, vectors: Vectors) -> None:
        new = torch.tensor(ids, device=self._device), torch.tensor(vectors, device=self._device)
        self._ids = torch.cat([self._ids, new[0]])
        self._vectors = torch.cat([self._vectors, new[1]])

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
        scores, ids = queries[:, :0], self._ids.expand(len(queries), -1)[:, :0]
        for start in range(0, len(self), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = queries @ self._vectors[rows].T
            best, positions = block.topk(min(k, block.shape[1]))
            scores = torch.cat([scores, best], 1)
            ids = torch.cat([ids, self._ids[rows][positions]], 1)
        return scores, ids

    def tune(self, tuning: str) -> None:
        if tuning:
            raise InvalidRequest(f"the torch index has nothing to tune, got {tuning!r}")

    def save(self, path: Path) -> None:
        with create_file(path) as file:
            np.savez(file, ids=self._ids.cpu().numpy(), vectors=self._vectors.cpu().numpy())

    @classmethod
    def load(
        cls, spec: TorchSpec, path: Path, device: str = "cpu", vectors: VectorFile | None = None
    ) -> Self:
        """Return the index that `save` wrote; `auto` puts it on a GPU if there is one."""
        del vectors  # the index holds them
        try:
            with np.load(path, allow_pickle=False) as arrays:
                ids, stored = arrays["ids"], arrays["vectors"]
            if (ids.dtype, stored.dtype) != (np.int64, np.float32) or ids.shape != stored.shape[:1]:
                raise ValueError("arrays of another type or shape")
            dim = int(stored.shape[1])
        except DAMAGED_FILE_ERRORS as error:
            raise CorruptBundle(f"{path} is not a torch index: {str(error)[:160]}") from None
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        index = cls(spec, dim, device)
        index.add(ids, stored)
        return index
