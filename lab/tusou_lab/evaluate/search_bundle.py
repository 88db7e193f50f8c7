"""Search a bundle for every query of an answers file, as the service would answer them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from tusou import __version__
from tusou.cli.progress import NoProgress, Progress
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import BadDataset, InvalidRequest, TusouError
from tusou.core.hardware import describe_machine
from tusou.core.hits import Hits
from tusou.core.ids import ItemId
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.evaluation.runs import Run, RunHeader
from tusou.indexes import create_index
from tusou.indexes.specs import FaissSpec
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Part, Query, VectorPart, combine
from tusou_lab.evaluate.image_queries import see_images
from tusou_lab.evaluate.query_vectors import encode_texts, text_parts

_AT_ONCE = 256  # queries searched together
_INDEX_KS = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class LiveSpec:
    """How to ask a bundle."""

    top_k: int = 10
    interpret: bool = False  # as POST /search does; POST /search/batch, and replay, do not
    cache: Path | None = None  # folder that keeps the queries' embeddings
    device: str = "auto"
    images: Path | None = None  # where those that ask lie, if not where the answers do


@dataclass(frozen=True, slots=True)
class Searched:
    """What a bundle found, and how much of it exact search would have found."""

    run: Run
    index_recall: dict[str, float] | None  # None for an index that is exact


def search_bundle(
    root: Path, answers: Judgments, spec: LiveSpec, watcher: Progress | None = None
) -> Searched:
    """Ask the pipeline every query; BadDataset names the queries that a service would refuse.

    Texts ask a bundle of images, images one of texts; BadDataset for the other way round.
    """
    watcher = watcher or NoProgress()
    started = perf_counter()
    texts = answers.direction == "text_to_image"
    asked = text_parts(answers, interpret=spec.interpret) if texts else []
    pipeline = SearchPipeline.open(root, device=spec.device)
    if texts and pipeline.bundle.items != "images":
        raise BadDataset(f"{answers.path} asks for images, and the bundle holds texts")
    if spec.top_k > pipeline.bundle.item_count:
        raise InvalidRequest(
            f"{root} holds {pipeline.bundle.item_count} items; give --top-k so many or fewer"
        )
    if texts:
        ready = encode_texts(pipeline, asked, spec.cache, watcher)
    else:
        place = str(spec.images or answers.path)
        ready = see_images(pipeline, answers, place, watcher)
    watcher.begin("searching", len(ready))
    hits: list[Hits] = []
    for start in range(0, len(ready), _AT_ONCE):
        asks = [Query(parts, spec.top_k) for parts in ready[start : start + _AT_ONCE]]
        hits += _sound(pipeline.search(asks).hits, answers.rows[start : start + _AT_ONCE], answers)
        watcher.advance(len(asks))
    header = _header(pipeline, answers, spec, perf_counter() - started)
    found = list(zip(answers.rows, hits, strict=True))
    run = Run(
        {row.query_id: row.line for row in answers.rows},
        {row.query_id: one.item_ids for row, one in found},
        scores={row.query_id: one.scores for row, one in found},
        header=header,
    )
    return Searched(run, _index_recall(pipeline, ready, [one.item_ids for one in hits]))


def _sound(
    hits: Sequence[Hits | TusouError], rows: Sequence[JudgedQuery], answers: Judgments
) -> list[Hits]:
    for one, row in zip(hits, rows, strict=True):
        if isinstance(one, TusouError):
            raise BadDataset(f"{answers.locate(row)}: {one}")
    return [one for one in hits if isinstance(one, Hits)]


def _header(
    pipeline: SearchPipeline, answers: Judgments, spec: LiveSpec, seconds: float
) -> RunHeader:
    manifest = pipeline.bundle.manifest
    return RunHeader(
        bundle=pipeline.bundle.version,
        model=manifest.model.name,
        index=f"{manifest.index.factory} {manifest.index.tuning}".strip(),
        direction=answers.direction,
        settings={
            "top_k": spec.top_k,
            "interpret": spec.interpret,
            "prompt": manifest.prompt,
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
    pipeline: SearchPipeline,
    asked: Sequence[tuple[Part, ...]],
    found: Sequence[tuple[ItemId, ...]],
) -> dict[str, float] | None:
    """Compare the items found with those of an exact search over the bundle's vectors."""
    if pipeline.bundle.manifest.index.factory in {"", "Flat"}:
        return None
    vectors = np.stack([_vector(parts) for parts in asked])
    stored = np.ascontiguousarray(pipeline.bundle.vectors)
    exact = create_index(FaissSpec("Flat"), stored.shape[1])
    exact.add(np.arange(len(stored), dtype=np.int64), stored)
    depth = len(found[0])
    truth = exact.search(vectors, depth).ids
    return {
        f"index_recall@{k}": _shared(pipeline, truth[:, :k], [items[:k] for items in found])
        for k in _INDEX_KS
        if k <= depth
    }


def _vector(parts: tuple[Part, ...]) -> Vectors:
    return combine(parts, [part.vector for part in parts if isinstance(part, VectorPart)])


def _shared(pipeline: SearchPipeline, truth: Ids, found: Sequence[tuple[ItemId, ...]]) -> float:
    """Average the share of the true nearest items that were found."""
    ids = pipeline.bundle.ids
    shared = sum(
        len({ids[key] for key in keys} & set(items))
        for keys, items in zip(truth.tolist(), found, strict=True)
    )
    return shared / truth.size
