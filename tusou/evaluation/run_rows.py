"""JSON lines of ranked lists: one query a line, its items best first."""

import json
from collections import Counter
from math import isfinite

from tusou.core.ids import ItemId, is_id

# What a query is called, and its list: in a MUGE submission and a run file, in cn_clip's
# predictions, and in those of the other direction, where an image asks for texts.
_FIELDS = (
    ("query_id", "item_ids"),
    ("text_id", "image_ids"),
    ("image_id", "text_ids"),
    ("item_id", "text_ids"),
)


def show(value: object) -> str:
    """Write an id so that 7 and "7" look different."""
    return json.dumps(value, ensure_ascii=False)


def query_of(row: dict[str, object]) -> tuple[ItemId, object]:
    """Name the query of a row and give what stands where its list should be."""
    name, items_name = next((pair for pair in _FIELDS if pair[0] in row), _FIELDS[0])
    query_id = row.get(name)
    if not is_id(query_id):
        raise ValueError(f"{name} is missing, or neither an integer nor a string")
    return query_id, row.get(items_name)


def ranking_of(query_id: ItemId, items: object, exactly: int | None) -> tuple[ItemId, ...]:
    """Check a list of items: ids, all different, and as many as wanted."""
    who = f"query {show(query_id)}"
    if not isinstance(items, list):
        raise ValueError(f"{who}: the list of items is missing")
    if wrong := [item for item in items if not is_id(item)]:
        raise ValueError(f"{who}: {show(wrong[0])} is neither an integer nor a string")
    if exactly is not None and len(items) != exactly:
        raise ValueError(f"{who}: {len(items)} items instead of {exactly}")
    if repeated := [item for item, count in Counter(items).items() if count > 1]:
        raise ValueError(f"{who}: repeats {', '.join(map(show, repeated))}")
    return tuple(items)


def scores_of(query_id: ItemId, scores: object, count: int) -> tuple[float, ...]:
    """Check the scores of a list: a finite number for each item."""
    numbers = scores if isinstance(scores, list) else []
    good = [one for one in numbers if type(one) in {int, float} and isfinite(one)]
    if len(good) != count or len(numbers) != count:
        raise ValueError(f"query {show(query_id)}: scores must be {count} finite numbers")
    return tuple(map(float, good))
