"""Index specifications: index type, factory string and search parameters."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tusou.bundle.manifest import IndexRecord


@dataclass(frozen=True, slots=True)
class FaissSpec:
    """A FAISS index: a factory string, and a ParameterSpace string for the search."""

    index_type: ClassVar[Literal["faiss"]] = "faiss"
    factory: str = "Flat"
    tuning: str = ""  # such as "nprobe=16"


@dataclass(frozen=True, slots=True)
class TorchSpec:
    """Exact search in torch, on the device of the encoder."""

    index_type: ClassVar[Literal["torch"]] = "torch"
    factory: ClassVar[str] = "torch"  # its name where FAISS factory strings are accepted
    tuning: ClassVar[str] = ""


IndexSpec = FaissSpec | TorchSpec


def index_spec(record: IndexRecord) -> IndexSpec:
    """Return the specification of the index that a manifest records."""
    is_faiss = record.type == "faiss"
    return FaissSpec(record.factory, record.tuning) if is_faiss else TorchSpec()
