"""Queries for a bundle from judgments, read as the service reads them and encoded."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels
from tusou.core.errors import BadDataset, BadImage, InputError
from tusou.core.problems import list_problems
from tusou.data import ItemPool, ItemRow, open_pool
from tusou.evaluation.judgments import Judgments
from tusou.images.preparation import FOR_QUERIES
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import Transforms, pixel_shape
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart, VectorPart
from tusou.text.normalize import normalize_query
from tusou_lab.embedding_cache import EmbeddingCache, conditions
from tusou_lab.evaluate.validate import raise_problems

_BATCH_SIZE = 64  # images encoded together, as at indexing


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
    encoder = model if pipeline.student is None else pipeline.student.sha256
    texts = list(dict.fromkeys(text for query in queries for text in query.texts))
    rows = EmbeddingCache(cache, progress).embed(
        texts,
        conditions(encoder, manifest.prompt_text, pipeline.precision),
        lambda missing: pipeline.encode_texts(missing).vectors,
    )
    vectors = dict(zip(texts, rows, strict=True))
    return [
        replace(
            query,
            parts=tuple(
                VectorPart(vectors[part.text], model, part.weight, "text", part.text)
                for part in query.parts
                if isinstance(part, TextPart)
            ),
        )
        for query in queries
    ]


def encode_image_queries(
    pipeline: SearchPipeline, judgments: Judgments, source: str, top_k: int, progress: Progress
) -> list[Query]:
    """Return the query of every row, in order, from its image in the pool at `source`.

    Loads the image tower. A row whose image cannot be read searches with a blank one, and a notice
    names it: every other row keeps its result. Raises BadDataset when the bundle does not hold
    texts or the pool does not hold images, with every image that is missing, and when not a single
    image can be read.
    """
    if pipeline.bundle.items != "texts":
        raise BadDataset(f"{judgments.path} asks for texts, and the bundle holds images")
    pool = open_pool(source)
    if pool.kind != "images":
        raise BadDataset(f"{source} holds no images; give the images to search with as --pool")
    rows = {str(row.query_id): number for number, row in enumerate(judgments.rows)}
    problems: dict[int, str] = {}
    encoded: dict[int, VectorPart] = {}
    progress.begin("encoding images", len(rows))
    pipeline.load_image_tower()
    decoded = _decode_images(pool, rows, pipeline.transform, problems)
    while batch := list(islice(decoded, _BATCH_SIZE)):
        numbers, pixels = zip(*batch, strict=True)
        encoded |= zip(numbers, pipeline.encode_images(np.stack(pixels)), strict=True)
        progress.advance(len(batch))
    located = {number: judgments.locate(row) for number, row in enumerate(judgments.rows)}
    missing = [number for number in located if number not in encoded and number not in problems]
    absent = [f"{located[number]}: not among the images of {source}" for number in missing]
    unreadable = [f"{located[number]}: {problems[number]}" for number in sorted(problems)]
    raise_problems(absent if encoded else unreadable + absent, "searched")
    if unreadable:
        blank = np.full((1, *pixel_shape(pipeline.transform)), 255, np.uint8)
        encoded |= dict.fromkeys(problems, pipeline.encode_images(blank)[0])
        listed = list_problems(unreadable)
        progress.notice(f"images searched for as blank ones, since they cannot be read:{listed}")
    return [Query((encoded[number],), top_k) for number in range(len(judgments.rows))]


def _decode_images(
    pool: ItemPool, rows: dict[str, int], transform: Transforms, problems: dict[int, str]
) -> Iterator[tuple[int, Pixels]]:
    """Yield row numbers and their pixels in the pool's order; of equal ids the first counts."""
    remaining = dict(rows)
    with ItemReader(pool.files) as reader:
        for row in pool.scan_in_time():
            number = remaining.pop(row.item_id or "", None)
            if number is None:
                continue
            if not isinstance(row, ItemRow):
                problems[number] = row.reason
                continue
            stored = reader.read(row.file, row.offset, row.length)
            try:
                image = open_image(decode_stored_image(stored, pool.encoding))
                yield number, to_pixels(image, transform, FOR_QUERIES)
            except BadImage as error:
                problems[number] = str(error)
