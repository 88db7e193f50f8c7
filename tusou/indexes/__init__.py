"""Vector indexes by name; an engine's library is imported when the engine is first used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tusou.config import IndexSpec
from tusou.indexes.base import VectorIndex
from tusou.registry import Lazy

__all__ = ["VectorIndex", "create_index", "index_device", "load_index"]

_ENGINES = {
    "exact": Lazy("tusou.indexes.exact:ExactIndex"),
    "faiss": Lazy("tusou.indexes.faiss_index:FaissIndex"),
}
_GPU_COUNT = Lazy("tusou.indexes.faiss_index:gpu_count")


def create_index(spec: IndexSpec, dim: int) -> VectorIndex:
    """Make an empty index for vectors of `dim` numbers."""
    engine = cast("Any", _ENGINES[spec.engine].load())
    return cast("VectorIndex", engine(spec, dim))


def load_index(spec: IndexSpec, path: Path, device: str = "cpu") -> VectorIndex:
    """Open an index file written by `save` under the same spec."""
    engine = cast("Any", _ENGINES[spec.engine].load())
    return cast("VectorIndex", engine.load(spec, path, device))


def index_device(device: str) -> str:
    """Where an index goes when the encoder is put on `device`: a GPU only if FAISS can use it."""
    count = cast("Callable[[], int]", _GPU_COUNT.load())
    if device == "cpu" or not count():
        return "cpu"
    return "cuda" if device == "auto" else device
