"""Text queries as the service reads them, and their vectors."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tusou.cli.progress import Progress
from tusou.core.errors import InputError
from tusou.evaluation.judgments import Judgments
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart, VectorPart
from tusou.text.normalize import normalize_query
from tusou_lab.embedding_cache import EmbeddingCache, conditions
from tusou_lab.evaluate.validate import raise_problems


def read_text_queries(judgments: Judgments, top_k: int, *, interpret: bool) -> list[Query]:
    """Return the query of every row, in order, read as the service reads a text.

    Raises BadDataset with every row that the service would refuse.
    """
    queries: list[Query] = []
    problems: list[str] = []
    for row in judgments.rows:
        if row.text is None:
            problems.append(f"{judgments.locate(row)} has no text to search for")
            continue
        try:
            queries.append(Query.of_text(normalize_query(row.text), top_k, interpret=interpret))
        except InputError as error:
            problems.append(f"{judgments.locate(row)}: {error}")
    raise_problems(problems, "searched")
    return queries


def encode_text_queries(
    pipeline: SearchPipeline, queries: Sequence[Query], cache: Path | None, progress: Progress
) -> list[Query]:
    """Return the queries with their texts replaced by vectors; each text is encoded once.

    The folder `cache` provides the vectors that earlier calls encoded.
    """
    manifest = pipeline.bundle.manifest
    model = manifest.model.sha256
    texts = list(dict.fromkeys(text for query in queries for text in query.texts))
    rows = EmbeddingCache(cache, progress).embed(
        texts,
        conditions(model, manifest.prompt, pipeline.precision),
        lambda missing: pipeline.encode_texts(missing).vectors,
    )
    vectors = dict(zip(texts, rows, strict=True))
    return [
        replace(
            query,
            parts=tuple(
                VectorPart(vectors[part.text], model, part.weight)
                for part in query.parts
                if isinstance(part, TextPart)
            ),
        )
        for query in queries
    ]
