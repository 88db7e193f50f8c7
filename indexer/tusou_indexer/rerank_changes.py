"""Changes that give a bundle a reranker: an endpoint, a larger model's vectors, a cross-encoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tusou.bundle.array_file import array_header
from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import IDS, VECTORS
from tusou.bundle.rerank_vectors import QueryModel
from tusou.bundle.stages import RERANK_FILES, RERANK_VECTORS, RerankRecord
from tusou.bundle.vector_file import VECTOR_TYPE
from tusou.cli.progress import Progress
from tusou.core.arrays import Ids
from tusou.core.errors import CorruptBundle, InvalidRequest
from tusou.core.files import create_file
from tusou.stages.endpoint_prompt import RerankMode
from tusou.stages.endpoint_spec import EndpointSpec
from tusou_indexer.cross_encoder_stage import set_cross_encoder
from tusou_indexer.stage_changes import StageChange

_ENDPOINT_DEPTH, _ENDPOINT_MS = 20, 3000
_VECTORS_DEPTH, _VECTORS_MS = 100, 200
_WEIGHT = 0.5
_BLOCK = 65_536  # vectors copied at once


def set_endpoint(
    bundle: Bundle, url: str, model: str | None, mode: RerankMode, fields: Sequence[str]
) -> StageChange:
    """Return the change that lets a model behind an endpoint rerank; InvalidRequest."""
    if not model:
        raise InvalidRequest("--rerank-url needs --rerank-model, the name that the endpoint knows")
    if bundle.items != "images":
        raise InvalidRequest("a vision language model reranks images, and these items are texts")
    known = bundle.manifest.attributes or {}
    if unknown := [name for name in fields if name not in known]:
        raise InvalidRequest(f"--rerank-fields: the items have no attribute {unknown[0]!r}")
    spec = EndpointSpec(url, model, mode, fields=tuple(fields))
    record = RerankRecord(
        kind="endpoint",
        model=model,
        sha256=None,
        depth=_ENDPOINT_DEPTH,
        deadline_ms=_ENDPOINT_MS,
        weight=_WEIGHT,
        options=spec.options,
    )
    return StageChange({"rerank": record}, drop=_files(bundle))


def set_reranker(
    bundle: Bundle, text: str, folder: Path, progress: Progress, *, store_tokens: bool
) -> StageChange:
    """Return the change for `vectors:OTHER` or `cross:FILE`; its files are put in `folder`.

    Raises InvalidRequest, and the errors of `set_vectors` and `set_cross_encoder`.
    """
    kind, _, source = text.partition(":")
    if kind == "vectors" and source:
        return set_vectors(bundle, Path(source), folder)
    if kind == "cross" and Path(source).is_file():
        return set_cross_encoder(bundle, Path(source), folder, progress, store=store_tokens)
    raise InvalidRequest(
        "--rerank: give vectors:OTHER, with the folder of another bundle, or cross:FILE, with a "
        "file of `tusou train --task rerank`"
    )


def set_vectors(bundle: Bundle, other: Path, folder: Path) -> StageChange:
    """Return the change that lets the vectors of another bundle rerank; they are put in `folder`.

    Items are the same if their ids are. Raises InvalidRequest, and CorruptBundle when the other
    bundle is damaged.
    """
    larger = Bundle.open(other)
    if damaged := [name for name in (IDS, VECTORS) if not larger.is_intact(name)]:
        raise CorruptBundle(f"{larger.path(damaged[0])} is damaged; index again with --force")
    if larger.items != bundle.items:
        raise InvalidRequest(f"the items of {other} are {larger.items}, not {bundle.items}")
    if not larger.manifest.has_encoder:
        raise InvalidRequest(f"{other} holds vectors alone, and no model that encodes queries")
    keys = _matching_keys(bundle, larger)
    if not (keys >= 0).any():
        raise InvalidRequest(f"{other} has no item with the id of one of this bundle's")
    path = folder / RERANK_VECTORS
    _copy_vectors(larger, keys, path)
    model = larger.manifest.model
    queries = QueryModel(model, larger.manifest.templates)
    record = RerankRecord(
        kind="vectors",
        model=model.location,
        sha256=model.sha256,
        depth=_VECTORS_DEPTH,
        deadline_ms=_VECTORS_MS,
        weight=_WEIGHT,
        options=queries.options | {"items": int((keys >= 0).sum())},
    )
    return StageChange({"rerank": record}, add={RERANK_VECTORS: path}, drop=_files(bundle))


def _matching_keys(bundle: Bundle, larger: Bundle) -> Ids:
    """Return the row keys that the items have in the other bundle, -1 for those it lacks, (n,)."""
    ids = (str(bundle.ids.at(key)) for key in range(bundle.item_count))
    matching_keys = (larger.ids.key(item_id) for item_id in ids)
    return np.array([-1 if key is None else key for key in matching_keys], np.int64)


def _copy_vectors(larger: Bundle, keys: Ids, path: Path) -> None:
    with create_file(path) as file:
        file.write(array_header(VECTOR_TYPE, (len(keys), larger.dim)))
        for start in range(0, len(keys), _BLOCK):
            block = keys[start : start + _BLOCK]
            rows = np.zeros((len(block), larger.dim), VECTOR_TYPE)
            rows[block >= 0] = larger.vector_file.rows(block[block >= 0])
            file.write(rows.data)


def _files(bundle: Bundle) -> frozenset[str]:
    """Return the files of the reranker that the bundle has now."""
    return frozenset(RERANK_FILES).intersection(bundle.manifest.files)
