"""Index specifications: index type, factory string and search parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from tusou.attributes.schema import AttributeType
from tusou.bundle.manifest import IndexRecord

SEARCH_SECONDS = 2.0  # the time limit of a search on a server


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


@dataclass(frozen=True, slots=True)
class MilvusAccess:
    """Access to a Milvus server."""

    uri: str | None = None  # in place of the recorded one, with user and password
    seconds: float = SEARCH_SECONDS


@dataclass(frozen=True, slots=True)
class MilvusSpec:
    """Exact search in a collection of a Milvus server."""

    index_type: ClassVar[Literal["milvus"]] = "milvus"
    factory: ClassVar[str] = "milvus"  # its name where FAISS factory strings are accepted
    tuning: ClassVar[str] = ""
    uri: str
    collection: str
    ids_sha256: str  # digest of the item ids, in row key order
    attributes: tuple[tuple[str, AttributeType], ...] = ()  # of a new collection, by name
    seconds: float = SEARCH_SECONDS


IndexSpec = FaissSpec | TorchSpec | MilvusSpec


def parse_tuning(tuning: str) -> dict[str, int]:
    """Return the search parameters of a ParameterSpace string by name."""
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", tuning)}


def format_tuning(parameters: Mapping[str, int]) -> str:
    """Return the ParameterSpace string of search parameters."""
    return ",".join(f"{name}={value}" for name, value in parameters.items())


def index_spec(record: IndexRecord, milvus: MilvusAccess | None = None) -> IndexSpec:
    """Return the specification of the index that a manifest records."""
    if record.collection is not None:
        held = record.collection
        access = milvus or MilvusAccess()
        uri = access.uri or held.uri
        return MilvusSpec(uri, held.name, held.ids_sha256, seconds=access.seconds)
    is_faiss = record.type == "faiss"
    return FaissSpec(record.factory, record.tuning) if is_faiss else TorchSpec()
