"""Reads hits from the replies of searches; ValueError for what no Tusou service sends."""

import math
from typing import Any

from tusou.core.hits import Attributes, AttributeValue, Hits
from tusou.core.ids import is_id


def read_object(value: object) -> dict[str, object]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def read_hits(fields: dict[str, object], top_k: int, reply: dict[str, object]) -> Hits:
    """Return the hits of one query; `reply` holds what all its queries share."""
    version = reply.get("index_version")
    if not isinstance(version, str) or not version:
        raise ValueError("`index_version` is missing")
    ids, scores, truncated = (fields.get(key) for key in ("item_ids", "scores", "truncated"))
    if not isinstance(ids, list) or not all(map(is_id, ids)):
        raise ValueError("`item_ids` is not a list of integers or strings")
    if not isinstance(scores, list) or not all(map(_is_score, scores)):
        raise ValueError("`scores` is not a list of finite numbers")
    if len(ids) != len(scores) or len(ids) > top_k:
        raise ValueError(f"{len(ids)} ids and {len(scores)} scores for a top_k of {top_k}")
    if len(set(ids)) != len(ids):
        raise ValueError("an item appears twice in one result")
    "".join(map(str, ids)).encode()  # UnicodeEncodeError: half a surrogate pair cannot be an id
    if not isinstance(truncated, bool):
        raise ValueError("`truncated` is not true or false")
    positive, negative = _interpreted(fields)
    changed = reply.get("version_changed") is True
    return Hits(
        tuple(ids),
        tuple(map(float, scores)),
        truncated,
        version,
        positive,
        negative,
        changed,
        unknown_share=_share(fields),
        **_about_attributes(fields, reply, len(ids)),
        **_about_stages(fields, len(ids)),
    )


def read_attributes(value: object) -> Attributes:
    """Return the attributes of one item."""
    attributes = read_object(value)
    for name, each in attributes.items():
        values = each if isinstance(each, list) else [each]
        if not all(map(_is_value, values)):
            raise ValueError(f"attribute {name!r} has no value of a known type")
    return attributes  # type: ignore[return-value]


def _about_attributes(
    fields: dict[str, object], reply: dict[str, object], count: int
) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if "attributes" in fields:
        about["attributes"] = tuple(map(read_attributes, _parallel(fields, "attributes", count)))
    if "others" in fields:
        about["others"] = tuple(map(_count, _parallel(fields, "others", count)))
    if "facets" in reply:
        facets = read_object(reply["facets"])
        about["facets"] = {name: _facet(values) for name, values in facets.items()}
    if "matching_items" in reply:
        about["matching_items"] = _count(reply["matching_items"])
    return about


def _about_stages(fields: dict[str, object], count: int) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if "adjusted_scores" in fields:
        about["adjusted_scores"] = _scores(_parallel(fields, "adjusted_scores", count))
    if "stage_scores" in fields:
        rows = map(read_object, _parallel(fields, "stage_scores", count))
        about["stage_scores"] = tuple(
            dict(zip(row, _scores(list(row.values())), strict=True)) for row in rows
        )
    if "matched" in fields:
        about |= _about_relevance(fields, count)
    if "rerank" in fields:
        if fields["rerank"] not in ("complete", "partial", "failed"):
            raise ValueError("`rerank` is not complete, partial or failed")
        about["rerank"] = fields["rerank"]
    return about


def _about_relevance(fields: dict[str, object], count: int) -> dict[str, Any]:
    answer = fields.get("answer_relevance")
    (answer_relevance,) = _scores([answer])
    if not isinstance(fields["matched"], bool):
        raise ValueError("`matched` is neither true nor false")
    return {
        "relevance": _scores(_parallel(fields, "relevance", count)),
        "answer_relevance": answer_relevance,
        "matched": fields["matched"],
    }


def _scores(values: list[Any]) -> tuple[float, ...]:
    if not all(map(_is_score, values)):
        raise ValueError("a stage's score is not a finite number")
    return tuple(map(float, values))


def _parallel(fields: dict[str, object], name: str, count: int) -> list[object]:
    values = fields[name]
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"`{name}` is not a list with an entry for each item")
    return values


def _facet(values: object) -> list[tuple[AttributeValue, int]]:
    if not isinstance(values, list):
        raise ValueError("a facet is not a list")
    rows = map(read_object, values)
    return [(_value(row.get("value")), _count(row.get("count"))) for row in rows]


def _value(value: object) -> Any:
    if not _is_value(value):
        raise ValueError("a facet has a value of no known type")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _interpreted(fields: dict[str, object]) -> tuple[str | None, str | None]:
    """Read what was searched of a query that refuses something, and what it refuses."""
    if fields.get("interpreted") is None:
        return None, None
    interpreted = read_object(fields["interpreted"])
    positive, negative = interpreted.get("positive"), interpreted.get("negative")
    if not isinstance(positive, str) or not isinstance(negative, str):
        raise ValueError("`interpreted` has no `positive` and `negative` texts")
    return positive, negative


def _share(fields: dict[str, object]) -> float:
    """Read the share of a query that the model does not know; absent from older services."""
    share = fields.get("unknown_share", 0.0)
    if not _is_score(share) or not 0 <= share <= 1:  # type: ignore[operator]
        raise ValueError("`unknown_share` is not a share")
    return float(share)  # type: ignore[arg-type]


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_value(value: object) -> bool:
    return isinstance(value, str | bool | int) or _is_score(value)
