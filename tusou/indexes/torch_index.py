"""Exact search by a matrix product and top-k in torch, on a processor or a GPU."""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import InvalidRequest
from tusou.indexes.base import best_first
from tusou.indexes.specs import TorchSpec

# Items scored at once; bounds the block of scores (queries, items).
_BLOCK = 1 << 20


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

    def add(self, ids: Ids, vectors: Vectors) -> None:
        new = torch.tensor(ids, device=self._device), torch.tensor(vectors, device=self._device)
        self._ids = torch.cat([self._ids, new[0]])
        self._vectors = torch.cat([self._vectors, new[1]])

    def search(self, queries: Vectors, k: int) -> Neighbors:
        scores, ids = self._top_k(torch.tensor(queries, device=self._device), k)
        return best_first(ids.cpu().numpy(), scores.cpu().numpy(), k)

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
        with path.open("wb") as file:
            np.savez(file, ids=self._ids.cpu().numpy(), vectors=self._vectors.cpu().numpy())

    @classmethod
    def load(cls, spec: TorchSpec, path: Path, device: str = "cpu") -> Self:
        """Return the index that `save` wrote; `auto` puts it on a GPU if there is one."""
        with np.load(path, allow_pickle=False) as arrays:
            ids, vectors = arrays["ids"], arrays["vectors"]
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        index = cls(spec, vectors.shape[1], device)
        index.add(ids, vectors)
        return index
