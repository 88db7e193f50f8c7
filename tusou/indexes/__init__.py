"""Vector indexes by type; the library of a type is imported when it is first used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tusou.bundle.vector_file import VectorFile
from tusou.core.lazy_import import LazyImport
from tusou.indexes.base import VectorIndex
from tusou.indexes.specs import IndexSpec

__all__ = ["VectorIndex", "create_index", "faiss_device", "load_index"]

_INDEX_TYPES = {
    "faiss": LazyImport("tusou.indexes.faiss_index:FaissIndex"),
    "torch": LazyImport("tusou.indexes.torch_index:TorchIndex"),
    "milvus": LazyImport("tusou.indexes.milvus_index:MilvusIndex"),
}


def create_index(spec: IndexSpec, dim: int) -> VectorIndex:
    """Return an empty index for vectors of `dim` numbers."""
    index_class = cast("Any", _INDEX_TYPES[spec.index_type].load())
    return cast("VectorIndex", index_class(spec, dim))


def load_index(
    spec: IndexSpec, path: Path, device: str = "cpu", vectors: VectorFile | None = None
) -> VectorIndex:
    """Open an index file that `save` wrote under the same specification.

    `device` is the one requested for the encoder; each index type uses it if it can. `vectors` are
    the stored vectors by row key; the file does not hold them again.
    """
    index_class = cast("Any", _INDEX_TYPES[spec.index_type].load())
    return cast("VectorIndex", index_class.load(spec, path, device, vectors))


def faiss_device(device: str) -> str:
    """Return the device of a FAISS index when the encoder is requested on `device`."""
    usable_device = LazyImport("tusou.indexes.faiss_index:usable_device").load()
    return cast("Callable[[str], str]", usable_device)(device)
