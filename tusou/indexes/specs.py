"""What an index is made of: the specs a manifest records and an engine is built from."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class ExactSpec:
    """Every vector compared with every query, in numpy: the judge of the other engines."""

    engine: ClassVar[Literal["exact"]] = "exact"


@dataclass(frozen=True, slots=True)
class FaissSpec:
    """An index in FAISS's own languages: a factory string and a ParameterSpace string."""

    engine: ClassVar[Literal["faiss"]] = "faiss"
    factory: str = "Flat"
    tuning: str = ""  # such as "nprobe=16"


@dataclass(frozen=True, slots=True)
class TorchSpec:
    """Every vector compared with every query, in torch, on the device of the encoder."""

    engine: ClassVar[Literal["torch"]] = "torch"
    factory: ClassVar[str] = "torch"  # what asks for it where FAISS's factory strings are given
    tuning: ClassVar[str] = ""


IndexSpec = ExactSpec | FaissSpec | TorchSpec
