"""Rows of run and prediction files: one query and its ranked items each."""

import json
from collections import Counter
from math import isfinite

from tusou.core.ids import ItemId, is_id

# The names of a query's id and of its list: in run files and MUGE submissions, in cn_clip's
# predictions, and in predictions for image queries.
_FIELDS = (
    ("query_id", "item_ids"),
    ("text_id", "image_ids"),
    ("image_id", "text_ids"),
    ("item_id", "text_ids"),
)


def quote_id(value: object) -> str:
    """Return an id for a message, so that 7 and "7" look different."""
    return json.dumps(value, ensure_ascii=False)


def split_row(row: dict[str, object]) -> tuple[ItemId, object]:
    """Return a row's query id, and the value of the field for its items, not checked yet.

    Raises ValueError when the row has no valid query id.
    """
    id_name, items_name = next((names for names in _FIELDS if names[0] in row), _FIELDS[0])
    query_id = row.get(id_name)
    if not is_id(query_id):
        raise ValueError(f"{id_name} is missing, or neither an integer nor a string")
    return query_id, row.get(items_name)


def check_ranking(query_id: ItemId, items: object, length: int | None) -> tuple[ItemId, ...]:
    """Return a query's items if they are different ids, `length` of them unless that is None.

    Raises ValueError otherwise.
    """
    prefix = f"query {quote_id(query_id)}"
    if not isinstance(items, list):
        raise ValueError(f"{prefix}: the list of items is missing")
    if wrong := [item for item in items if not is_id(item)]:
        raise ValueError(f"{prefix}: {quote_id(wrong[0])} is neither an integer nor a string")
    if length is not None and len(items) != length:
        raise ValueError(f"{prefix}: {len(items)} items instead of {length}")
    if repeated := [item for item, count in Counter(items).items() if count > 1]:
        raise ValueError(f"{prefix}: repeats {', '.join(map(quote_id, repeated))}")
    return tuple(items)


def check_scores(query_id: ItemId, scores: object, length: int) -> tuple[float, ...]:
    """Return a query's scores if they are `length` finite numbers, else raise ValueError."""
    values = scores if isinstance(scores, list) else []
    numbers = [value for value in values if type(value) in {int, float} and isfinite(value)]
    if len(numbers) != length or len(values) != length:
        raise ValueError(f"query {quote_id(query_id)}: scores must be {length} finite numbers")
    return tuple(map(float, numbers))
