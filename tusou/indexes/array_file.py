"""The file of an engine that keeps ids and vectors as they are."""

from pathlib import Path

import numpy as np

from tusou.core.arrays import Ids, Vectors


def save_arrays(path: Path, ids: Ids, vectors: Vectors) -> None:
    """Write both to one file in numpy's `.npz` format."""
    with path.open("wb") as file:
        np.savez(file, ids=ids, vectors=vectors)


def load_arrays(path: Path) -> tuple[Ids, Vectors]:
    """Read what `save_arrays` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["ids"], arrays["vectors"]
