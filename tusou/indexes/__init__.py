"""Vector indexes by name; an engine's library is imported when the engine is first used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tusou.core.lazy_import import LazyImport
from tusou.indexes.base import VectorIndex
from tusou.indexes.specs import IndexSpec

__all__ = ["VectorIndex", "create_index", "faiss_device", "load_index"]

_INDEX_TYPES = {
    "exact": LazyImport("tusou.indexes.exact:ExactIndex"),
    "faiss": LazyImport("tusou.indexes.faiss_index:FaissIndex"),
    "torch": LazyImport("tusou.indexes.torch_index:TorchIndex"),
}
_FAISS_DEVICE = LazyImport("tusou.indexes.faiss_index:usable_device")


def create_index(spec: IndexSpec, dim: int) -> VectorIndex:
    """Make an empty index for vectors of `dim` numbers."""
    engine = cast("Any", _INDEX_TYPES[spec.index_type].load())
    return cast("VectorIndex", engine(spec, dim))


def load_index(spec: IndexSpec, path: Path, device: str = "cpu") -> VectorIndex:
    """Open an index file written by `save` under the same spec.

    `device` is where the encoder was asked to be; each engine knows whether it can be there too.
    """
    engine = cast("Any", _INDEX_TYPES[spec.index_type].load())
    return cast("VectorIndex", engine.load(spec, path, device))


def faiss_device(device: str) -> str:
    """Where a FAISS index goes when the encoder is put on `device`."""
    return cast("Callable[[str], str]", _FAISS_DEVICE.load())(device)
