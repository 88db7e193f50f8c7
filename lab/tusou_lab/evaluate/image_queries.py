"""Images that ask for texts: those of a pool that an answers file names, encoded."""

from collections.abc import Iterator

import numpy as np

from tusou.bundle.item_reader import ItemReader, image_of
from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels
from tusou.core.errors import BadDataset, BadImage
from tusou.data import ItemPool, ItemRow, open_pool
from tusou.evaluation.judgments import Judgments
from tusou.images.preprocess import open_image, to_pixels
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import VectorPart

_AT_ONCE = 64  # images encoded together, as at indexing


def see_images(
    pipeline: SearchPipeline, answers: Judgments, place: str, watcher: Progress
) -> list[tuple[VectorPart, ...]]:
    """Encode the image of every row, in the rows' order; the image tower is loaded for it.

    Raises BadDataset when the bundle's items are no texts, when there are no images at the place,
    and with every image that is missing there or cannot be read.
    """
    if pipeline.bundle.items != "texts":
        raise BadDataset(f"{answers.path} asks for texts, and the bundle holds images")
    pool = open_pool(place)
    if pool.kind != "images":
        raise BadDataset(f"{place} holds no images; say with --pool where those that ask are")
    rows = {str(row.query_id): number for number, row in enumerate(answers.rows)}
    problems: dict[int, str] = {}
    seen: dict[int, VectorPart] = {}
    watcher.begin("encoding images", len(rows))
    pipeline.load_image_tower()
    for numbers, pixels in _batches(pool, rows, pipeline.image_size, problems):
        seen |= zip(numbers, pipeline.encode_images(pixels), strict=True)
        watcher.advance(len(numbers))
    told = [
        f"{answers.locate(row)}: {problems.get(number, f'not among the images of {place}')}"
        for number, row in enumerate(answers.rows)
        if number not in seen
    ]
    if told:
        listed = "\n  ".join(told)
        raise BadDataset(f"nothing was searched; problems: {len(told)}\n  {listed}")
    return [(seen[number],) for number in range(len(answers.rows))]


def _batches(
    pool: ItemPool, rows: dict[str, int], size: int, problems: dict[int, str]
) -> Iterator[tuple[list[int], Pixels]]:
    """Yield the rows' numbers and their images, the first of each id, in the pool's order."""
    numbers: list[int] = []
    pixels: list[Pixels] = []
    wanted = dict(rows)
    for row in pool.scan():
        number = wanted.pop(row.item_id or "", None)
        if number is None:
            continue
        try:
            pixels.append(
                _pixels(pool, row, size) if isinstance(row, ItemRow) else _bad(row.reason)
            )
        except BadImage as error:
            problems[number] = str(error)
            continue
        numbers.append(number)
        if len(numbers) == _AT_ONCE:
            yield numbers, np.stack(pixels)
            numbers, pixels = [], []
    if numbers:
        yield numbers, np.stack(pixels)


def _pixels(pool: ItemPool, row: ItemRow, size: int) -> Pixels:
    with ItemReader(pool.files) as files:
        stored = files.read(row.file, row.offset, row.length)
    return to_pixels(open_image(image_of(stored, pool.encoding)), size)


def _bad(reason: str) -> Pixels:
    raise BadImage(reason)
