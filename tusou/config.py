"""What an index is made of: the specs a manifest records and an engine is built from."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ExactSpec:
    """Every vector compared with every query, in numpy: the judge of the other engines."""

    engine: ClassVar[str] = "exact"


@dataclass(frozen=True, slots=True)
class FaissSpec:
    """An index in FAISS's own languages: a factory string and a ParameterSpace string."""

    engine: ClassVar[str] = "faiss"
    factory: str = "Flat"
    tuning: str = ""  # such as "nprobe=16"


IndexSpec = ExactSpec | FaissSpec
