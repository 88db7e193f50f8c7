"""The options of `tusou query` as the fields of a search."""

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


def search_options(
    image: Path | None,
    item: str | None,
    negative: str | None,
    weights: Iterable[str],
    exclude: Iterable[str],
) -> SearchOptions:
    """Return the fields that were given; UsageError for weights that are not `part=number`."""
    options: SearchOptions = {}
    if image is not None:
        options["image"] = image
    if item is not None:
        options["item_id"] = item
    if negative is not None:
        options["negative"] = negative
    if excluded := list[int | str](exclude):
        options["exclude"] = excluded
    for weight in weights:
        _add_weight(options, weight)
    return options


def _add_weight(options: SearchOptions, weight: str) -> None:
    part, _, number = weight.partition("=")
    if part not in _WEIGHTS:
        raise UsageError(f"--weight {weight}: the parts are {', '.join(_WEIGHTS)}.")
    value = _parse_number(number)
    if not 0 < value <= 10:  # NaN fails too
        raise UsageError(
            f"--weight {weight}: write a part and a number up to 10, for example image=0.5."
        )
    options[_WEIGHTS[part]] = value


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
