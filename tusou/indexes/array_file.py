"""File format of indexes that store plain ids and vectors."""

from pathlib import Path

import numpy as np

from tusou.core.arrays import Ids, Vectors


def save_arrays(path: Path, ids: Ids, vectors: Vectors) -> None:
    """Write ids (n,) and vectors (n, d) to one file in numpy's `.npz` format."""
    with path.open("wb") as file:
        np.savez(file, ids=ids, vectors=vectors)


def load_arrays(path: Path) -> tuple[Ids, Vectors]:
    """Return the ids and vectors that `save_arrays` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["ids"], arrays["vectors"]
