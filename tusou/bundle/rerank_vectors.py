"""A larger model's vectors of a version's items, for reranking."""

from tusou.bundle.bundle import Bundle
from tusou.bundle.stages import RERANK_VECTORS
from tusou.bundle.vector_file import VectorFile
from tusou.core.errors import CorruptBundle


def open_rerank_vectors(bundle: Bundle) -> VectorFile:
    """Open the vectors by row key, (n, e); CorruptBundle.

    The row of an item without a vector is zero.
    """
    record = bundle.manifest.stages.rerank
    dim = None if record is None else record.options.get("dim")
    if not isinstance(dim, int) or RERANK_VECTORS not in bundle.manifest.files:
        raise CorruptBundle(f"{bundle.folder}: wrong value at stages.rerank in the manifest")
    return VectorFile(bundle.path(RERANK_VECTORS), (bundle.item_count, dim))
