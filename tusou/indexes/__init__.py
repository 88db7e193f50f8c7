"""Vector indexes by name; an engine's library is imported when the engine is first used."""

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
    """Where the index goes when the encoder runs on `device`: a GPU only if FAISS can use it."""
    count = cast("Any", _GPU_COUNT.load())
    return device if device.startswith("cuda") and count() else "cpu"
