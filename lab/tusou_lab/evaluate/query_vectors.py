"""What is asked of a bundle, as vectors: texts as the service reads them, encoded once."""

from collections.abc import Sequence
from pathlib import Path

from tusou.cli.progress import Progress
from tusou.core.errors import InputError
from tusou.evaluation.judgments import Judgments
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import TextPart, VectorPart
from tusou.text.negation import REFUSED_WEIGHT, parse_negation
from tusou.text.normalize import normalize_query
from tusou_lab.embedding_cache import KeptVectors, conditions
from tusou_lab.evaluate.validate import raise_problems


def text_parts(answers: Judgments, *, interpret: bool) -> list[tuple[TextPart, ...]]:
    """Turn every text into what is searched; all that a service would refuse is told at once."""
    parts: list[tuple[TextPart, ...]] = []
    problems: list[str] = []
    for row in answers.rows:
        if row.text is None:
            problems.append(f"{answers.locate(row)} has no text to search for")
            continue
        try:
            parts.append(_text_parts(normalize_query(row.text), interpret=interpret))
        except InputError as error:
            problems.append(f"{answers.locate(row)}: {error}")
    raise_problems(problems, "searched")
    return parts


def _text_parts(text: str, *, interpret: bool) -> tuple[TextPart, ...]:
    understood = parse_negation(text) if interpret else None
    if not understood:
        return (TextPart(text),)
    refused = (TextPart(one, -REFUSED_WEIGHT) for one in understood.refused)
    return TextPart(understood.positive), *refused


def encode_texts(
    pipeline: SearchPipeline,
    asked: Sequence[tuple[TextPart, ...]],
    cache: Path | None,
    watcher: Progress,
) -> list[tuple[VectorPart, ...]]:
    """Turn the parts of every query into vectors, each text encoded once.

    The `cache` folder holds what earlier calls encoded.
    """
    manifest = pipeline.bundle.manifest
    model = manifest.model.sha256
    texts = list(dict.fromkeys(part.text for parts in asked for part in parts))
    rows = KeptVectors(cache, watcher).of(
        texts,
        conditions(model, manifest.prompt, pipeline.precision),
        lambda missing: pipeline.encode_texts(missing).vectors,
    )
    vectors = dict(zip(texts, rows, strict=True))
    return [
        tuple(VectorPart(vectors[part.text], model, part.weight) for part in parts)
        for parts in asked
    ]
