"""Search a bundle for every query of an answers file, as the service would answer them."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from lab.evaluate.pictures import see_pictures
from tusou import __version__
from tusou.answers import Hits
from tusou.asks import Ask, Part, TextPart, VectorPart, combine
from tusou.config import FaissSpec
from tusou.errors import BadDataset, InputError, InvalidRequest, TusouError
from tusou.evaluation.answers import Answers, Asked
from tusou.evaluation.runs import Run, RunHeader
from tusou.files import write_file
from tusou.indexes import create_index
from tusou.machine import machine
from tusou.negation import REFUSED_WEIGHT, understand
from tusou.progress import Nobody, Watcher
from tusou.search import SearchPipeline
from tusou.text import normalize_query
from tusou.types import Ids, ItemId, Vectors

_AT_ONCE = 256  # queries encoded and searched together
_INDEX_KS = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class LiveSpec:
    """How to ask a bundle."""

    top_k: int = 10
    interpret: bool = False  # as POST /search does; POST /search/batch, and replay, do not
    cache: Path | None = None  # folder that keeps the queries' embeddings
    device: str = "auto"
    pictures: Path | None = None  # where those that ask lie, if not where the answers do


@dataclass(frozen=True, slots=True)
class Searched:
    """What a bundle found, and how much of it exact search would have found."""

    run: Run
    index_recall: dict[str, float] | None  # None for an index that is exact


def search_bundle(
    root: Path, answers: Answers, spec: LiveSpec, watcher: Watcher | None = None
) -> Searched:
    """Ask the pipeline every query; BadDataset names the queries that a service would refuse."""
    watcher = watcher or Nobody()
    started = perf_counter()
    texts = answers.direction == "text_to_image"
    asked = _parts(answers, interpret=spec.interpret) if texts else []
    pipeline = SearchPipeline.open(root, device=spec.device)
    if spec.top_k > pipeline.bundle.item_count:
        raise InvalidRequest(
            f"{root} holds {pipeline.bundle.item_count} items; give --top-k so many or fewer"
        )
    if texts:
        ready = _encode(pipeline, asked, spec.cache, watcher)
    else:
        place = str(spec.pictures or answers.path)
        ready = see_pictures(pipeline, answers, place, watcher)
    watcher.begin("searching", len(ready))
    hits: list[Hits] = []
    for start in range(0, len(ready), _AT_ONCE):
        asks = [Ask(parts, spec.top_k) for parts in ready[start : start + _AT_ONCE]]
        hits += _sound(pipeline.answer(asks).hits, answers.rows[start : start + _AT_ONCE], answers)
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


def _parts(answers: Answers, *, interpret: bool) -> list[tuple[TextPart, ...]]:
    """Turn every text into what is searched; all that a service would refuse is told at once."""
    parts: list[tuple[TextPart, ...]] = []
    problems: list[str] = []
    for row in answers.rows:
        if row.text is None:
            problems.append(f"{answers.place(row)} has no text to search for")
            continue
        try:
            parts.append(_text_parts(normalize_query(row.text), interpret=interpret))
        except InputError as error:
            problems.append(f"{answers.place(row)}: {error}")
    if problems:
        listed = "\n  ".join(problems)
        raise BadDataset(f"nothing was searched; problems: {len(problems)}\n  {listed}")
    return parts


def _text_parts(text: str, *, interpret: bool) -> tuple[TextPart, ...]:
    understood = understand(text) if interpret else None
    if not understood:
        return (TextPart(text),)
    refused = (TextPart(one, -REFUSED_WEIGHT) for one in understood.refused)
    return TextPart(understood.positive), *refused


def _encode(
    pipeline: SearchPipeline,
    asked: Sequence[tuple[TextPart, ...]],
    cache: Path | None,
    watcher: Watcher,
) -> list[tuple[VectorPart, ...]]:
    texts = list(dict.fromkeys(part.text for parts in asked for part in parts))
    vectors = dict(zip(texts, embeddings(pipeline, texts, cache, watcher), strict=True))
    model = pipeline.bundle.manifest.model.sha256
    return [
        tuple(VectorPart(vectors[part.text], model, part.weight) for part in parts)
        for parts in asked
    ]


def embeddings(
    pipeline: SearchPipeline, texts: Sequence[str], cache: Path | None, watcher: Watcher
) -> Vectors:
    """Encode texts as queries are, or read what an earlier call left in the `cache` folder."""
    kept = cache / f"{_digest(pipeline, texts)}.npy" if cache else None
    if kept and kept.exists():
        loaded: Vectors = np.load(kept, allow_pickle=False)
        return loaded
    watcher.begin("encoding", len(texts))
    parts = []
    for start in range(0, len(texts), _AT_ONCE):
        parts.append(pipeline.embed(texts[start : start + _AT_ONCE]).vectors)
        watcher.advance(len(parts[-1]))
    vectors = np.concatenate(parts)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        held = io.BytesIO()
        np.save(held, vectors, allow_pickle=False)
        write_file(kept, held.getvalue())
    return vectors


def _digest(pipeline: SearchPipeline, texts: Sequence[str]) -> str:
    """Name everything that the texts' vectors depend on."""
    manifest = pipeline.bundle.manifest
    made_from = [__version__, manifest.model.sha256, pipeline.precision, manifest.prompt or ""]
    return hashlib.sha256("\n".join([*made_from, *texts]).encode()).hexdigest()[:32]


def _sound(
    hits: Sequence[Hits | TusouError], rows: Sequence[Asked], answers: Answers
) -> list[Hits]:
    for one, row in zip(hits, rows, strict=True):
        if isinstance(one, TusouError):
            raise BadDataset(f"{answers.place(row)}: {one}")
    return [one for one in hits if isinstance(one, Hits)]


def _header(
    pipeline: SearchPipeline, answers: Answers, spec: LiveSpec, seconds: float
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
            "machine": machine(),
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
    total = combine(parts, [part.vector for part in parts if isinstance(part, VectorPart)])
    assert not isinstance(total, TusouError)  # its search was answered
    return total


def _shared(pipeline: SearchPipeline, truth: Ids, found: Sequence[tuple[ItemId, ...]]) -> float:
    """Average the share of the true nearest items that were found."""
    ids = pipeline.bundle.ids
    shared = sum(
        len({ids[key] for key in keys} & set(items))
        for keys, items in zip(truth.tolist(), found, strict=True)
    )
    return shared / truth.size
