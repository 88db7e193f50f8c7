"""Refined indexes: the part of a factory string about the second comparison of candidates."""

import re
from typing import Literal, NamedTuple

from tusou.bundle.manifest import IndexRecord

# Location of the vectors that candidates are compared with again: memory, memory in half
# precision, or the version's file.
Refinement = Literal["memory", "half", "file"]

_SUFFIXES: dict[str, Refinement] = {
    "RFlat": "memory",
    "Refine(Flat)": "memory",
    "Refine(SQfp16)": "half",
    "RFile": "file",
}
_REFINED = re.compile(rf"(.+),({'|'.join(map(re.escape, _SUFFIXES))})")
_BYTES: dict[Refinement | None, int] = {"memory": 4, "half": 2, "file": 0, None: 0}


class RefinedFactory(NamedTuple):
    """A factory string in two parts."""

    codes: str  # FAISS's factory string of the index that finds candidates
    refinement: Refinement | None  # None: its results are not compared again

    @property
    def bytes_in_memory(self) -> int:
        """The bytes a dimension that an item's vector takes in memory, beside its code."""
        return _BYTES[self.refinement]


def split_factory(factory: str) -> RefinedFactory:
    """Split a factory string such as `PQ64x4fs,RFlat`, in which `RFile` is Tusou's own word."""
    refined = _REFINED.fullmatch(factory)
    return RefinedFactory(refined[1], _SUFFIXES[refined[2]]) if refined else _unrefined(factory)


def vector_bytes(record: IndexRecord) -> int:
    """Return the bytes a dimension of an item's vector that an index reads into memory."""
    if record.type == "torch" or record.factory == "Flat":
        return 4
    return split_factory(record.factory).bytes_in_memory


def _unrefined(factory: str) -> RefinedFactory:
    return RefinedFactory(factory, None)
