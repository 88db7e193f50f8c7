"""Factory strings of refined indexes, and the bytes of the vectors that they hold in memory."""

import pytest

from tusou.bundle.manifest import IndexRecord
from tusou.bundle.refinement import split_factory, vector_bytes


@pytest.mark.parametrize(
    ("factory", "parts", "bytes_a_dimension"),
    [
        ("Flat", ("Flat", None), 4),
        ("IVF64,PQ16x4fs,RFlat", ("IVF64,PQ16x4fs", "memory"), 4),
        ("SQ8,Refine(Flat)", ("SQ8", "memory"), 4),
        ("PQ16x4fs,Refine(SQfp16)", ("PQ16x4fs", "half"), 2),
        ("PCAR16,PQ16x4fs,RFile", ("PCAR16,PQ16x4fs", "file"), 0),
        ("PQ16x4fs,Refine(SQ8)", ("PQ16x4fs,Refine(SQ8)", None), 0),
        ("HNSW32", ("HNSW32", None), 0),
        ("RFile", ("RFile", None), 0),
    ],
)
def test_the_last_part_says_where_the_vectors_are(
    factory: str, parts: tuple[str, str | None], bytes_a_dimension: int
) -> None:
    assert split_factory(factory) == parts
    record = IndexRecord(type="faiss", factory=factory, tuning="", index_recall_at_10=None)
    assert vector_bytes(record) == bytes_a_dimension


def test_the_torch_index_holds_whole_vectors() -> None:
    record = IndexRecord(type="torch", factory="torch", tuning="", index_recall_at_10=None)
    assert vector_bytes(record) == 4
