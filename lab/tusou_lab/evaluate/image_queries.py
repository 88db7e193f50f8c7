"""Image queries for a bundle of texts, encoded from the images of a pool."""

from collections.abc import Iterator

import numpy as np

from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels
from tusou.core.errors import BadDataset, BadImage
from tusou.data import ItemPool, ItemRow, open_pool
from tusou.evaluation.judgments import Judgments
from tusou.images.preprocess import open_image, to_pixels
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, VectorPart

_BATCH_SIZE = 64  # images encoded together, as at indexing


def encode_image_queries(
    pipeline: SearchPipeline, judgments: Judgments, source: str, top_k: int, progress: Progress
) -> list[Query]:
    """Return the query of every row, in order, from its image in the pool at `source`.

    Loads the image tower. Raises BadDataset when the bundle does not hold texts or the pool does
    not hold images, and with every image that is missing or cannot be decoded.
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
    for numbers, pixels in _batches(pool, rows, pipeline.image_size, problems):
        encoded |= zip(numbers, pipeline.encode_images(pixels), strict=True)
        progress.advance(len(numbers))
    messages = [
        f"{judgments.locate(row)}: {problems.get(number, f'not among the images of {source}')}"
        for number, row in enumerate(judgments.rows)
        if number not in encoded
    ]
    if messages:
        listed = "\n  ".join(messages)
        raise BadDataset(f"nothing was searched; problems: {len(messages)}\n  {listed}")
    return [Query((encoded[number],), top_k) for number in range(len(judgments.rows))]


def _batches(
    pool: ItemPool, rows: dict[str, int], size: int, problems: dict[int, str]
) -> Iterator[tuple[list[int], Pixels]]:
    """Yield row numbers and their pixels in the pool's order; of equal ids the first counts."""
    numbers: list[int] = []
    pixels: list[Pixels] = []
    remaining = dict(rows)
    with ItemReader(pool.files) as reader:
        for row in pool.scan():
            number = remaining.pop(row.item_id or "", None)
            if number is None:
                continue
            if not isinstance(row, ItemRow):
                problems[number] = row.reason
                continue
            stored = reader.read(row.file, row.offset, row.length)
            try:
                pixels.append(
                    to_pixels(open_image(decode_stored_image(stored, pool.encoding)), size)
                )
            except BadImage as error:
                problems[number] = str(error)
                continue
            numbers.append(number)
            if len(numbers) == _BATCH_SIZE:
                yield numbers, np.stack(pixels)
                numbers, pixels = [], []
    if numbers:
        yield numbers, np.stack(pixels)
