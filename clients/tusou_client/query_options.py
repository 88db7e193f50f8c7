"""What the command line says beside a text, as the fields of a search."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from tusou_client.errors import UsageError
from tusou_client.wire import SearchOptions

_Weight = Literal["query_weight", "image_weight", "item_weight", "negative_weight"]
_WEIGHTS: dict[str, _Weight] = {
    "query": "query_weight",
    "image": "image_weight",
    "item": "item_weight",
    "negative": "negative_weight",
}


def more_of(
    image: Path | None,
    item: str | None,
    negative: str | None,
    weights: Iterable[str],
    exclude: Iterable[str],
) -> SearchOptions:
    """Return the fields that were given; weights are written `part=number`, Misuse otherwise."""
    more: SearchOptions = {}
    if image is not None:
        more["image"] = image.read_bytes()
    if item is not None:
        more["item_id"] = item
    if negative is not None:
        more["negative"] = negative
    left_out: list[int | str] = list(exclude)
    if left_out:
        more["exclude"] = left_out
    for weight in weights:
        _weigh(more, weight)
    return more


def _weigh(more: SearchOptions, said: str) -> None:
    part, _, number = said.partition("=")
    if part not in _WEIGHTS:
        raise UsageError(f"--weight {said}: the parts are {', '.join(_WEIGHTS)}.")
    value = _number(number)
    if not 0 < value <= 10:  # of a NaN, too
        raise UsageError(f"--weight {said}: write a part and a number up to 10, such as image=0.5.")
    more[_WEIGHTS[part]] = value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
