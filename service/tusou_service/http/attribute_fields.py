"""The fields of requests about attributes: filter, fields, facets, distinct and collapse."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema

from tusou.attributes.filters import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    Filter,
    Location,
    check_filter,
    check_names,
    conditions,
    parse_filter,
)
from tusou.attributes.values import MAX_NAME_CHARS
from tusou.core.errors import ErrorDetail, InvalidRequest
from tusou_service.engine.engine import SearchEngine

MAX_FIELDS = 16
MAX_FACETS = 8
# Conditions over strings of lists are the slowest: with 64 of them a filter takes as long as many
# queries, ordinary ones cost next to nothing.
_CONDITIONS_OF_A_QUERY = 8

AttributeName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
FieldNames = Annotated[list[AttributeName], Field(max_length=MAX_FIELDS)]
FacetNames = Annotated[list[AttributeName], Field(max_length=MAX_FACETS)]

FILTER_EXAMPLE: dict[str, object] = {"category": "连衣裙", "price": {"$lte": 200}}
FILTER_DESCRIPTION = (
    "Conditions on attributes that every result passes: $eq, $ne, $lt, $lte, $gt, $gte, $in, $nin, "
    f"$exists, $and, $or, $not; at most {MAX_CONDITIONS}, {MAX_DEPTH} levels deep."
)


def read_filter_text(text: str, location: Location = ("query", "filter")) -> Filter:
    """Return the filter of a JSON text; InvalidRequest."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        detail = ErrorDetail(location, "json_invalid", "Give the filter as JSON.")
        raise InvalidRequest(details=[detail]) from None
    return parse_filter(value, location)


def _read_filter(value: object) -> Filter:
    return parse_filter(value)


def _read_filter_parameter(value: object) -> Filter:
    return read_filter_text(str(value))


# InvalidRequest is no ValueError: it passes through pydantic, with its details.
BodyFilter = Annotated[Filter, PlainValidator(_read_filter), WithJsonSchema({"type": "object"})]
FilterParameter = Annotated[
    Filter, PlainValidator(_read_filter_parameter), WithJsonSchema({"type": "string"})
]


class AttributeFields(BaseModel):
    """The fields of a search that are about attributes."""

    filter: BodyFilter | None = Field(
        None, description=FILTER_DESCRIPTION, examples=[FILTER_EXAMPLE]
    )
    fields: FieldNames | None = Field(
        None,
        description=f"Attributes to return with each item; at most {MAX_FIELDS}.",
        examples=[["title", "price"]],
    )
    facets: FacetNames | None = Field(
        None,
        description="Attributes whose most frequent values are counted, over all items that pass "
        f"the filter; at most {MAX_FACETS}.",
        examples=[["category"]],
    )
    distinct: AttributeName | None = Field(
        None,
        description="An attribute: only the best item of each of its values is returned.",
        examples=["product_id"],
    )
    collapse: Literal["near_duplicates"] | None = Field(
        None,
        description="Whether only the best of several near duplicates is returned.",
        examples=["near_duplicates"],
    )


def filter_cost(selected: Filter | None) -> int:
    """Return how many queries a filter counts as beside its own."""
    return 0 if selected is None else sum(1 for _ in conditions(selected)) // _CONDITIONS_OF_A_QUERY


def attribute_options(
    fields: AttributeFields, engine: SearchEngine, source: Literal["body", "query"]
) -> dict[str, Any]:
    """Return the arguments of `Query` about attributes; InvalidRequest names what is unknown."""
    options: dict[str, Any] = {}
    if not (fields.filter or fields.fields or fields.facets or fields.distinct or fields.collapse):
        return options
    schema = engine.pipeline.view.schema
    if fields.filter is not None:
        check_filter(fields.filter, schema, (source, "filter"))
        options["filter"] = fields.filter
    for name in ("fields", "facets"):
        if names := tuple(dict.fromkeys(getattr(fields, name) or ())):
            check_names(names, schema, (source, name))
            options[name] = names
    if fields.distinct is not None:
        check_names([fields.distinct], schema, (source, "distinct"))
        options["distinct"] = fields.distinct
    if fields.collapse is not None:
        options["collapse"] = True
    return options
