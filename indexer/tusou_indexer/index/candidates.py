"""Candidate indexes for `auto`: factory strings, search parameters and estimated costs."""

import re
from math import log2, sqrt

from tusou.core.errors import InvalidRequest
from tusou_indexer.index.recall_probes import K
from tusou_indexer.index.request import EXACT_ITEMS, IndexRequest

# Vectors that fit into a core's cache are compared before another index would have begun.
_CACHED_BYTES = 8 * 2**20
# A vector fetched out of order costs as much as three read in sequence.
_SCATTERED = 3
_NPROBES = tuple(2**power for power in range(13))
_K_FACTORS = (4, 8, 16, 32, 64)  # candidates compared exactly per requested item
_ID_BYTES = 8
_SCALAR_BYTES = {"SQ8": 1, "SQfp16": 2}
_MEMORY_BYTES = {"RFile": 0}  # candidates are compared with vectors that are read from the file


def candidate_factories(count: int, dim: int, request: IndexRequest) -> list[str]:
    """Return the factory strings to try for a pool, the least reading first.

    Raises InvalidRequest if no index fits the memory of the request.
    """
    if not request.auto:
        return [request.index]
    budget = request.memory
    tiers = _tiers(count, dim, request.on_gpu)
    if budget is None:
        return tiers[0]
    for factories in tiers:
        if fitting := [each for each in factories if memory_bytes(each, count, dim) <= budget]:
            return fitting
    least = min(memory_bytes(each, count, dim) for factories in tiers for each in factories)
    raise InvalidRequest(
        f"--index {request.index}: an index of {count:,} vectors takes {least / 1e6:.1f}MB or more"
    )


def _tiers(count: int, dim: int, on_gpu: bool) -> list[list[str]]:
    """Return indexes that hold whole vectors, and others that take less memory each time."""
    full = _full(count, dim, on_gpu)
    if on_gpu or dim % 8:
        lists = f"{_lists(count)}," if count > EXACT_ITEMS else ""
        return [full, [f"{lists}SQfp16", f"{lists}SQ8"]]
    refined = [each for each in _refined(count, dim) if each.startswith("PCAR")]
    return [
        full,
        *(
            [each.replace("RFlat", last) for each in refined]
            for last in ("Refine(SQfp16)", "RFile")
        ),
    ]


def search_parameters(factory: str) -> tuple[list[str], list[str]]:
    """Return an index's settings, ascending: lists to visit, candidates to compare exactly."""
    lists = re.search(r"IVF(\d+)", factory)
    count = int(lists[1]) if lists else 0
    nprobes = [*(number for number in _NPROBES if number < count), count] if count else []
    factors = _K_FACTORS if _refinement_bytes(factory) else ()
    return (
        [f"nprobe={number}" for number in nprobes] or [""],
        [f"k_factor_rf={number}" for number in factors] or [""],
    )


def bytes_read(factory: str, tuning: str, count: int, dim: int) -> float:
    """Estimate the bytes that one search for ten items reads, as if read in sequence."""
    numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", tuning)}
    lists = re.search(r"IVF(\d+)", factory)
    share = min(1, numbers["nprobe"] / int(lists[1])) if lists else 1.0
    compared = numbers.get("k_factor_rf", 0) * K * _refinement_bytes(factory) * dim
    scanned = count * share * _code_bytes(factory, dim)
    return _table_bytes(factory, dim) + scanned + compared * _SCATTERED


def memory_bytes(factory: str, count: int, dim: int) -> float:
    """Estimate the bytes that an index takes in memory."""
    refined = _MEMORY_BYTES.get(_last(factory), _refinement_bytes(factory)) * dim
    item = _code_bytes(factory, dim) + refined + (_ID_BYTES if "IVF" in factory else 0)
    return _table_bytes(factory, dim) + count * item


def _full(count: int, dim: int, on_gpu: bool) -> list[str]:
    """Return indexes that hold every vector in full."""
    coded = not on_gpu and not dim % 8
    exhaustive = f"{_lists(count)},Flat" if count > EXACT_ITEMS else "Flat"
    if not coded or (count <= EXACT_ITEMS and count * dim * 4 <= _CACHED_BYTES):
        return [exhaustive]
    return [*_refined(count, dim), exhaustive]


def _refined(count: int, dim: int) -> list[str]:
    """Return indexes of codes whose candidates are compared again with whole vectors."""
    quarter, half = dim // 4, dim // 2
    if count > EXACT_ITEMS:
        lists = _lists(count)
        return [
            f"PCAR{quarter},{lists},PQ{dim // 8}x4fs,RFlat",
            f"PCAR{quarter},{lists},PQ{quarter}x4fs,RFlat",
            f"{lists},PQ{quarter}x4fs,RFlat",
        ]
    return [
        f"PCAR{quarter},PQ{dim // 8}x4fs,RFlat",
        f"PCAR{quarter},PQ{quarter}x4fs,RFlat",
        f"PCAR{half},PQ{quarter}x4fs,RFlat",
        f"PQ{quarter}x4fs,RFlat",
        f"PQ{half}x4fs,RFlat",
    ]


def _lists(count: int) -> str:
    return f"IVF{int(2 ** round(log2(4 * sqrt(count))))}"  # FAISS's own advice


def _code_bytes(factory: str, dim: int) -> float:
    """Return the bytes of one item that a scan reads."""
    if codes := re.search(r"PQ(\d+)x4", factory):
        return int(codes[1]) / 2
    if scalar := re.search(r"(?:^|,)(SQ8|SQfp16)", factory):
        return _SCALAR_BYTES[scalar[1]] * dim
    return 4 * dim


def _refinement_bytes(factory: str) -> int:
    """Return the bytes a dimension in which candidates are compared again; 0 if they are not."""
    refined = re.fullmatch(r"RFlat|RFile|Refine\((\w+)\)", _last(factory))
    return _SCALAR_BYTES.get(refined[1], 4) if refined else 0


def _last(factory: str) -> str:
    return factory.rpartition(",")[2]


def _table_bytes(factory: str, dim: int) -> float:
    """Return the bytes of the projection and of the lists' centres, which every search reads."""
    projected = re.search(r"PCAR(\d+)", factory)
    lists = re.search(r"IVF(\d+)", factory)
    width = int(projected[1]) if projected else dim
    return (4 * dim * width if projected else 0) + (4 * width * int(lists[1]) if lists else 0)
