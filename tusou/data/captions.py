"""Captions of images as queries: what Flickr8k, Teddy Cup and WebDataset have in common."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tusou.core.ids import Failure, ItemId
from tusou.data.base import DatasetQuery


@dataclass(frozen=True, slots=True)
class Caption:
    """A text and the image it is correct for; None where the file does not say."""

    line: int
    text: str
    item_id: ItemId | None
    text_id: ItemId | None = None  # None: named after the image, `ID#0`, `ID#1`...


@dataclass(slots=True)
class _Asked:
    line: int
    text: str
    item_ids: list[ItemId] = field(default_factory=list)


def caption_queries(captions: Iterable[Caption | Failure]) -> Iterator[DatasetQuery | Failure]:
    """Turn captions into queries; captions under one id are one query with several answers."""
    asked: dict[ItemId, _Asked] = {}
    counts: dict[ItemId | None, int] = {}
    for caption in captions:
        if isinstance(caption, Failure):
            yield caption
            continue
        number = counts.get(caption.item_id, 0)
        counts[caption.item_id] = number + 1
        text_id = caption.text_id if caption.text_id is not None else f"{caption.item_id}#{number}"
        known = asked.setdefault(text_id, _Asked(caption.line, caption.text))
        again = known.line != caption.line and caption.item_id in (None, *known.item_ids)
        if known.text != caption.text or again:
            yield Failure(caption.line, str(text_id), f"text id already used on line {known.line}")
        elif caption.item_id is not None:
            known.item_ids.append(caption.item_id)
    names = any(isinstance(item_id, str) for one in asked.values() for item_id in one.item_ids)
    for text_id, one in asked.items():
        item_ids = map(str, one.item_ids) if names else one.item_ids  # of one kind, as a pool's are
        yield DatasetQuery(one.line, text_id, one.text, tuple(item_ids) or None)
