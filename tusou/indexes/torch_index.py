"""Exact search by a matrix product and top-k in torch, on a processor or a GPU."""

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import InvalidRequest
from tusou.indexes.array_file import load_arrays, save_arrays
from tusou.indexes.base import best_first
from tusou.indexes.specs import TorchSpec

# Items scored at once; bounds the block of scores (queries, items).
_BLOCK = 1 << 20


class TorchIndex:
    """All vectors in one tensor, compared with every query, in float32."""

    exact_scores = True

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
        return _padded(ids.cpu().numpy(), scores.cpu().numpy(), k)

    @torch.inference_mode()
    def _top_k(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return scores and ids of at most k items per query, on the index's device."""
        best = queries[:, :0], self._ids.expand(len(queries), -1)[:, :0]
        for start in range(0, len(self), _BLOCK):
            rows = slice(start, start + _BLOCK)
            scores, positions = _top(queries @ self._vectors[rows].T, k)
            best = _merge(best, (scores, self._ids[rows][positions]), k)
        return best

    def tune(self, tuning: str) -> None:
        """Raise InvalidRequest unless the string is empty: there are no parameters."""
        if tuning:
            raise InvalidRequest(f"the torch index has nothing to tune, got {tuning!r}")

    def save(self, path: Path) -> None:
        save_arrays(path, self._ids.cpu().numpy(), self._vectors.cpu().numpy())

    @classmethod
    def load(cls, spec: TorchSpec, path: Path, device: str = "cpu") -> Self:
        """Return the index that `save` wrote; `auto` puts it on a GPU if there is one."""
        ids, vectors = load_arrays(path)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        index = cls(spec, vectors.shape[1], device)
        index.add(ids, vectors)
        return index


def _merge(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], k: int
) -> tuple[Tensor, Tensor]:
    """Return the k best of two blocks' scores and ids."""
    if not first[0].shape[1]:
        return second
    scores, ids = (torch.cat(pair, 1) for pair in zip(first, second, strict=True))
    best, positions = _top(scores, k)
    return best, ids.gather(1, positions)


def _top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    values, positions = scores.topk(min(k, scores.shape[1]), dim=1)
    return values, positions


def _padded(ids: Ids, scores: npt.NDArray[np.float32], k: int) -> Neighbors:
    if ids.shape[1] == k:
        return best_first(ids, scores)
    missing = ((0, 0), (0, k - ids.shape[1]))
    return best_first(
        np.pad(ids, missing, constant_values=-1), np.pad(scores, missing, constant_values=-np.inf)
    )
