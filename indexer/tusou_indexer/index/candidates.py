"""The indexes that `auto` tries, their search parameters, and what they cost."""

import re
from math import log2, sqrt

from tusou.core.errors import InvalidRequest
from tusou_indexer.index.recall_probes import K
from tusou_indexer.index.request import EXACT_ITEMS, IndexRequest

# Vectors that fit into a core's cache are compared in the time that anything else takes to begin.
_CACHED_BYTES = 8 * 2**20
# A vector fetched out of order costs as much as so many read in a row.
_SCATTERED = 3
_NPROBES = tuple(2**power for power in range(13))
_REFINED = (4, 8, 16, 32, 64)  # candidates compared exactly, for each item asked for
_ID_BYTES = 8
_SCALARS = {"SQ8": 1, "SQfp16": 2}  # bytes of a number


def factories(count: int, dim: int, wanted: IndexRequest) -> list[str]:
    """List what to try for a pool, the least reading first; InvalidRequest if nothing fits."""
    if not wanted.auto:
        return [wanted.factory]
    budget = wanted.memory
    plain, tight = _plain(count, dim, wanted.on_gpu), _tight(count, dim, wanted.on_gpu)
    if budget is None:
        return plain
    for those in (plain, tight):
        if fitting := [one for one in those if memory_bytes(one, count, dim) <= budget]:
            return fitting
    least = min(memory_bytes(one, count, dim) for one in tight)
    raise InvalidRequest(
        f"--factory {wanted.factory}: an index of {count:,} vectors "
        f"takes {least / 1e6:.1f}MB or more"
    )


def parameters(factory: str) -> tuple[list[str], list[str]]:
    """List an index's settings, ascending: lists to visit, candidates to compare exactly."""
    lists = re.search(r"IVF(\d+)", factory)
    probes = [one for one in _NPROBES if one < int(lists[1])] + [int(lists[1])] if lists else []
    factors = _REFINED if _refinement(factory) else ()
    return (
        [f"nprobe={number}" for number in probes] or [""],
        [f"k_factor_rf={number}" for number in factors] or [""],
    )


def bytes_read(factory: str, tuning: str, count: int, dim: int) -> float:
    """Estimate what one search for ten items reads, in bytes read in a row."""
    numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", tuning)}
    lists = re.search(r"IVF(\d+)", factory)
    share = min(1, numbers["nprobe"] / int(lists[1])) if lists else 1.0
    compared = numbers.get("k_factor_rf", 0) * K * _refinement(factory) * dim
    return _tables(factory, dim) + count * share * _code(factory, dim) + compared * _SCATTERED


def memory_bytes(factory: str, count: int, dim: int) -> float:
    """Estimate what the index takes in memory."""
    ids = _ID_BYTES * (2 if "IVF" in factory else 1)
    item = _code(factory, dim) + _refinement(factory) * dim + ids
    return _tables(factory, dim) + count * item


def _plain(count: int, dim: int, on_gpu: bool) -> list[str]:
    """List indexes that hold every vector."""
    coded = not on_gpu and not dim % 8
    quarter, half = dim // 4, dim // 2
    if count > EXACT_ITEMS:
        lists = _lists(count)
        refined = [
            f"PCAR{quarter},{lists},PQ{dim // 8}x4fs,RFlat",
            f"PCAR{quarter},{lists},PQ{quarter}x4fs,RFlat",
            f"{lists},PQ{quarter}x4fs,RFlat",
        ]
        return [*refined, f"{lists},Flat"] if coded else [f"{lists},Flat"]
    if not coded or count * dim * 4 <= _CACHED_BYTES:
        return ["Flat"]
    return [
        f"PCAR{quarter},PQ{dim // 8}x4fs,RFlat",
        f"PCAR{quarter},PQ{quarter}x4fs,RFlat",
        f"PCAR{half},PQ{quarter}x4fs,RFlat",
        f"PQ{quarter}x4fs,RFlat",
        f"PQ{half}x4fs,RFlat",
        "Flat",
    ]


def _tight(count: int, dim: int, on_gpu: bool) -> list[str]:
    """List indexes that hold two bytes a dimension, or fewer: their scores are approximate."""
    lists = f"{_lists(count)}," if count > EXACT_ITEMS else ""
    if on_gpu or dim % 8:
        return [f"{lists}SQfp16", f"{lists}SQ8"]
    codes = f"PCAR{dim // 4},{lists}PQ{dim // 4}x4fs"
    return [
        f"{codes},Refine(SQfp16)",
        f"{codes},Refine(SQ8)",
        f"{lists}SQ8",
        f"{lists}PQ{dim // 2}x4fs",
    ]


def _lists(count: int) -> str:
    return f"IVF{int(2 ** round(log2(4 * sqrt(count))))}"  # FAISS's own advice


def _code(factory: str, dim: int) -> float:
    """Bytes of what is scanned of one item."""
    if codes := re.search(r"PQ(\d+)x4", factory):
        return int(codes[1]) / 2
    if plain := re.search(r"(?:^|,)(SQ8|SQfp16)", factory):
        return _SCALARS[plain[1]] * dim
    return 4 * dim


def _refinement(factory: str) -> int:
    """Bytes a dimension of what the best candidates are compared in; 0: they are not."""
    found = re.search(r"RFlat|Refine\((\w+)\)", factory)
    return _SCALARS.get(found[1], 4) if found else 0


def _tables(factory: str, dim: int) -> float:
    """Bytes of a projection and of the lists' centres, which every search reads."""
    projected = re.search(r"PCAR(\d+)", factory)
    lists = re.search(r"IVF(\d+)", factory)
    width = int(projected[1]) if projected else dim
    return (4 * dim * width if projected else 0) + (4 * width * int(lists[1]) if lists else 0)
