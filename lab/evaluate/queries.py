"""What is asked of a bundle, as vectors: texts as the service reads them, encoded once."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lab.evaluate.checks import refuse
from tusou import __version__
from tusou.asks import TextPart, VectorPart
from tusou.errors import InputError
from tusou.evaluation.answers import Answers
from tusou.files import write_file
from tusou.negation import REFUSED_WEIGHT, understand
from tusou.progress import Watcher
from tusou.search import SearchPipeline
from tusou.text import normalize_query
from tusou.types import Vectors

_AT_ONCE = 256  # texts encoded together


def text_parts(answers: Answers, *, interpret: bool) -> list[tuple[TextPart, ...]]:
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
    refuse(problems, "searched")
    return parts


def _text_parts(text: str, *, interpret: bool) -> tuple[TextPart, ...]:
    understood = understand(text) if interpret else None
    if not understood:
        return (TextPart(text),)
    refused = (TextPart(one, -REFUSED_WEIGHT) for one in understood.refused)
    return TextPart(understood.positive), *refused


def encode_texts(
    pipeline: SearchPipeline,
    asked: Sequence[tuple[TextPart, ...]],
    cache: Path | None,
    watcher: Watcher,
) -> list[tuple[VectorPart, ...]]:
    """Turn the parts of every query into vectors, each text encoded once."""
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
    """Name everything that the vectors depend on."""
    manifest = pipeline.bundle.manifest
    model = [__version__, manifest.model.sha256, pipeline.precision, manifest.prompt or ""]
    return hashlib.sha256("\n".join([*model, *texts]).encode()).hexdigest()[:32]
