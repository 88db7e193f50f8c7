"""Searches a bundle for every query of a judgments file, as the service would."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from tusou import __version__
from tusou.attributes.filters import Filter, parse_filter
from tusou.bundle.biased_vectors import add_bias, as_queries
from tusou.cli.progress import NoProgress, Progress
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.hardware import describe_machine
from tusou.core.hits import Hits
from tusou.core.ids import ItemId
from tusou.core.json_objects import parse_object
from tusou.encoders.student.folder import open_student
from tusou.encoders.unknown_language import warn_of_language
from tusou.evaluation.index_recall import exact_neighbors, index_recall
from tusou.evaluation.judgments import Judgments
from tusou.evaluation.runs import Run, RunHeader
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, VectorPart, combine
from tusou.stages.endpoint_spec import EndpointAccess
from tusou_lab.evaluate.bundle_queries import (
    encode_image_queries,
    encode_text_queries,
    read_text_queries,
)
from tusou_lab.evaluate.search_queries import ordering_scores, search_queries
from tusou_lab.evaluate.vector_queries import read_vector_queries

# Items per query of a search and of a file of predictions, unless `top_k` is given.
DEPTH = 10
_INDEX_KS = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class BundleSearchSpec:
    """Settings for searching a bundle or reading a file of rankings."""

    top_k: int | None = None  # 10, or the depth of a run file, if not given
    interpret: bool = True  # subtract what a text refuses, as the service does by default
    cache: Path | None = None  # folder of the queries' embeddings
    pool: Path | None = None  # what a file's search ran over; a text bundle's query images
    filter: str | None = None  # JSON; only items of a bundle that pass are found
    query_vectors: Path | None = None  # of the queries, which are then not encoded
    query_ids: Path | None = None  # the query id of each of them
    rerank_key_file: Path | None = None  # of the endpoint that reranks a bundle
    query_encoder: Path | None = None  # a student that encodes the queries of a bundle


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run and the judgments that fit it."""

    run: Run
    judgments: Judgments
    pool_ids: Set[ItemId] | None  # None when the pool is not known
    index_recall: dict[str, float] | None = None  # None for an exact index and for files

    @property
    def depth(self) -> int:
        """The length of the longest list, at which the run can be scored."""
        return self.run.depth or DEPTH


def search_bundle(
    root: Path, judgments: Judgments, spec: BundleSearchSpec, progress: Progress | None = None
) -> Loaded:
    """Search for every query of the judgments through the pipeline that the service runs.

    Under a filter, the pool is the items that pass. Raises InvalidRequest for a filter that the
    service would refuse, BadDataset with every query that it would, and when the bundle does not
    hold what the queries ask for: texts search a bundle of images, images a bundle of texts.
    """
    progress = progress or NoProgress()
    started = perf_counter()
    top_k = spec.top_k or DEPTH
    selected = None if spec.filter is None else read_filter(spec.filter)
    is_text = judgments.direction == "text_to_image"
    encodes = spec.query_vectors is None
    queries: list[Query] = []
    if is_text and encodes:
        queries = read_text_queries(judgments, top_k, interpret=spec.interpret)
    access = EndpointAccess(key_file=spec.rerank_key_file, cache_folder=spec.cache)
    student = None if spec.query_encoder is None else open_student(spec.query_encoder)
    pipeline = SearchPipeline.open(root, endpoint=access, student=student)
    if is_text and encodes and pipeline.bundle.items != "images":
        raise BadDataset(f"{judgments.path} asks for images, and the bundle holds texts")
    texts = [row.text for row in judgments.rows if row.text is not None]
    if is_text and encodes and (warning := warn_of_language(texts, pipeline.unknown_share)):
        progress.notice(warning)
    keys = _pool_keys(pipeline, selected)
    if top_k > len(keys):
        passing = "" if selected is None else " that pass the filter"
        raise InvalidRequest(
            f"{root} holds {len(keys)} items{passing}; give a --top-k of at most that number"
        )
    if spec.query_vectors is not None:
        dim = pipeline.bundle.dim
        queries = read_vector_queries(judgments, spec.query_vectors, spec.query_ids, dim, top_k)
    elif is_text:
        queries = encode_text_queries(pipeline, queries, spec.cache, progress)
    else:
        source = str(spec.pool or judgments.path)
        queries = encode_image_queries(pipeline, judgments, source, top_k, progress)
    queries = [replace(query, filter=selected) for query in queries]
    progress.begin("searching", len(queries))
    hits = search_queries(pipeline, judgments, queries, progress)
    if incomplete := sum(each.rerank == "partial" for each in hits):
        progress.notice(
            f"{incomplete} of {len(hits)} queries have candidates that the reranker gave no score"
        )
    header = _header(pipeline, judgments, spec, perf_counter() - started)
    by_row = list(zip(judgments.rows, hits, strict=True))
    run = Run(
        {row.query_id: row.line for row in judgments.rows},
        {row.query_id: result.item_ids for row, result in by_row},
        scores={
            row.query_id: scores
            for row, result in by_row
            if (scores := ordering_scores(result)) is not None
        },
        header=header,
    )
    ids = pipeline.bundle.ids
    pool_ids = {ids.at(key) for key in keys.tolist()}
    return Loaded(run, judgments, pool_ids, _index_recall(pipeline, queries, hits, keys))


def read_filter(text: str) -> Filter:
    """Return the filter of a JSON text; InvalidRequest."""
    try:
        value = parse_object(text.encode(), unique_fields=True)
    except ValueError as error:
        example = """'{"price": {"$lte": 200}}'"""
        raise InvalidRequest(f"--filter is {error}; write it as {example}") from None
    return parse_filter(value, ("filter",))


def _pool_keys(pipeline: SearchPipeline, selected: Filter | None) -> Ids:
    """Return the row keys of the items that pass; InvalidRequest for an unknown attribute."""
    query = Query((), 1, filter=selected)
    pipeline.items.check(query)
    selection = pipeline.items.selection(query)
    return np.arange(len(pipeline.items)) if selection is None else selection.keys


def _header(
    pipeline: SearchPipeline, judgments: Judgments, spec: BundleSearchSpec, seconds: float
) -> RunHeader:
    manifest = pipeline.bundle.manifest
    is_text = judgments.direction == "text_to_image"
    return RunHeader(
        bundle=pipeline.bundle.version,
        model=manifest.model.name,
        index=f"{manifest.index.factory} {pipeline.index_tuning}".strip(),
        direction=judgments.direction,
        settings={
            "top_k": spec.top_k or DEPTH,
            **({"interpret": spec.interpret} if is_text and spec.query_vectors is None else {}),
            **({} if spec.query_vectors is None else {"query_vectors": spec.query_vectors.name}),
            **({} if spec.filter is None else {"filter": spec.filter}),
            **({} if pipeline.student is None else {"query_encoder": pipeline.student.label}),
            "prompt": manifest.prompt_text,
            **({"stages": ", ".join(manifest.stages.names)} if manifest.stages.names else {}),
            "precision": pipeline.precision,
        },
        made={
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": describe_machine(),
            "tusou": __version__,
            "seconds": round(seconds, 3),
        },
    )


def _index_recall(
    pipeline: SearchPipeline, queries: Sequence[Query], hits: Sequence[Hits], pool_keys: Ids
) -> dict[str, float] | None:
    """Return the share of the pool's nearest items, by exact search, that the search returned.

    None for an exact index, and where stages have reordered what the index returned.
    """
    manifest = pipeline.bundle.manifest
    reordered = {*manifest.stages.names} & {"softmax", "feedback", "rerank"}
    if reordered or manifest.index.factory in {"", "Flat"}:
        return None
    depth, bundle = len(hits[0].item_ids), pipeline.bundle
    pool = bundle.vectors if len(pool_keys) == bundle.item_count else bundle.vectors[pool_keys]
    vectors = np.stack([_vector(query) for query in queries])
    if bundle.hub_bias is not None:
        pool = add_bias(pool, bundle.hub_bias[pool_keys])
        vectors = as_queries(vectors, adjust=True)
    exact = exact_neighbors(pool, vectors, depth)
    retrieved = np.full((len(hits), depth), -1, np.int64)
    for row, result in zip(retrieved, hits, strict=True):
        keys = [bundle.key(str(item_id)) for item_id in result.item_ids]
        row[: len(keys)] = np.searchsorted(pool_keys, keys)
    return {
        f"index_recall@{k}": index_recall(pool, vectors, retrieved, exact, k)
        for k in _INDEX_KS
        if k <= depth
    }


def _vector(query: Query) -> Vectors:
    parts = query.parts
    return combine(parts, [part.vector for part in parts if isinstance(part, VectorPart)])
