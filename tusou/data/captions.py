"""Image captions as queries, for Flickr8k, Teddy Cup and WebDataset."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tusou.core.ids import Failure, ItemId
from tusou.data.base import DatasetQuery


@dataclass(frozen=True, slots=True)
class Caption:
    """A text and the image that it is correct for; None if the file does not name one."""

    line: int
    text: str
    item_id: ItemId | None
    text_id: ItemId | None = None  # None: the image's id and a number, `ID#0`, `ID#1`...


def caption_queries(captions: Iterable[Caption | Failure]) -> Iterator[DatasetQuery | Failure]:
    """Yield a query for each text id; captions with the same id are one query for many images."""
    queries: dict[ItemId, tuple[Caption, list[ItemId]]] = {}  # first caption, ids of its images
    counts: dict[ItemId | None, int] = {}
    for caption in captions:
        if isinstance(caption, Failure):
            yield caption
            continue
        number = counts.get(caption.item_id, 0)
        counts[caption.item_id] = number + 1
        text_id = caption.text_id if caption.text_id is not None else f"{caption.item_id}#{number}"
        first, item_ids = queries.setdefault(text_id, (caption, []))
        repeated = first.line != caption.line and caption.item_id in (None, *item_ids)
        if first.text != caption.text or repeated:
            yield Failure(caption.line, str(text_id), f"text id already used on line {first.line}")
        elif caption.item_id is not None:
            item_ids.append(caption.item_id)
    # Ids have one type in all queries, as in an item pool.
    any_string = any(
        isinstance(item_id, str) for _, item_ids in queries.values() for item_id in item_ids
    )
    for text_id, (first, item_ids) in queries.items():
        ids = map(str, item_ids) if any_string else item_ids
        yield DatasetQuery(first.line, text_id, first.text, tuple(ids) or None)
