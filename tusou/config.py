"""What an index is made of: the specs a bundle's manifest records and an engine is built from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An engine by name, and what it needs in its own languages."""

    engine: str = "faiss"
    factory: str = "Flat"  # a FAISS factory string
    tuning: str = ""  # a faiss.ParameterSpace string, such as "nprobe=16"
