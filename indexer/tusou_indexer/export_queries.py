"""Writes the vectors of queries as the service of a bundle searches with them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tusou.bundle.array_file import save_array
from tusou.bundle.manifest import FAILURES, IDS, VECTORS, Counts
from tusou.bundle.model_record import Model
from tusou.cli.progress import Progress
from tusou.core.arrays import Vectors
from tusou.core.errors import BadDataset, InputError
from tusou.core.ids import Failure
from tusou.data import DatasetQuery, open_dataset
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import TextPart, combine, text_parts
from tusou.text.normalize import normalize_query
from tusou_indexer.vector_folder import origin_record, write_record
from tusou_indexer.write_bundle import write_lines

_TEXTS_PER_BATCH = 256


def export_queries(
    root: Path,
    source: str,
    out: Path,
    progress: Progress,
    options: tuple[str, str],
    *,
    interpret: bool,
) -> tuple[Model, Counts]:
    """Encode the queries of a file or a split with the model and the prompt of a bundle.

    `options` are the requested device and precision. With `interpret`, what a text refuses is
    subtracted. Queries that the service would refuse are failures; BadDataset if these are all.
    """
    device, precision = options
    parts: dict[str, Sequence[TextPart]] = {}
    failures: list[Failure] = []
    lines: dict[str, int] = {}
    for row in open_dataset(source).scan_queries():
        if isinstance(row, Failure):
            failures.append(row)
            continue
        try:
            query_id = str(row.query_id)
            parts[query_id], _ = text_parts(normalize_query(row.text), interpret=interpret)
            lines[query_id] = row.line
        except InputError as error:
            failures.append(_failure(row, error))
    pipeline = SearchPipeline.open(root, device=device, precision=precision)
    vectors = _encode(pipeline, parts, progress)
    combined: dict[str, Vectors] = {}
    for query_id, each in parts.items():
        try:
            combined[query_id] = combine(each, [vectors[part.text] for part in each])
        except InputError as error:  # what is refused cancels what is asked for
            failures.append(Failure(lines[query_id], query_id, str(error)))
    if not combined:
        raise BadDataset(f"{source}: no query can be used; the first: {failures[0].reason}")
    failures.sort(key=lambda failure: failure.line)
    write_lines(out / IDS, combined)
    write_lines(out / FAILURES, (json.dumps(bad.record(), ensure_ascii=False) for bad in failures))
    save_array(out / VECTORS, np.stack(list(combined.values())).astype("<f4", copy=False))
    counts = Counts(
        items=len(combined) + len(failures),
        embedded=len(combined),
        failed=len(failures),
        truncated=0,
    )
    manifest = pipeline.bundle.manifest
    origin = {
        **origin_record(
            "queries", str(Path(source).resolve()), manifest.model, manifest.prompt_text
        ),
        "version": pipeline.bundle.version,
        "interpret": interpret,
        "precision": pipeline.precision,
        "backend": pipeline.backend,
    }
    write_record(out, origin, counts)
    return manifest.model, counts


def _failure(row: DatasetQuery, error: InputError) -> Failure:
    return Failure(row.line, str(row.query_id), str(error))


def _encode(
    pipeline: SearchPipeline, parts: dict[str, Sequence[TextPart]], progress: Progress
) -> dict[str, Vectors]:
    """Return the vector of each different text; each is encoded once."""
    texts = list(dict.fromkeys(part.text for each in parts.values() for part in each))
    vectors: dict[str, Vectors] = {}
    progress.begin("encoding queries", len(texts))
    for start in range(0, len(texts), _TEXTS_PER_BATCH):
        batch = texts[start : start + _TEXTS_PER_BATCH]
        vectors |= zip(batch, pipeline.encode_texts(batch).vectors, strict=True)
        progress.advance(len(batch))
    return vectors
