"""Filters as expressions of Milvus, and attributes as its fields.

Tests in `tests/milvus` compare what the expressions select with the table of attributes.
"""

from importlib.util import find_spec

import pytest

from tusou.attributes.filters import parse_filter
from tusou.attributes.schema import AttributeSchema, AttributeValue
from tusou.core.errors import InvalidRequest, MissingDependency
from tusou.indexes import create_index
from tusou.indexes.milvus_columns import columns_of
from tusou.indexes.milvus_filter import translate
from tusou.indexes.specs import MilvusSpec

SCHEMA: AttributeSchema = {
    "brand": "string",
    "new": "boolean",
    "price": "number",
    "since": "date",
    "stock": "integer",
    "tags": "strings",
}
BRAND, NEW, PRICE, SINCE, STOCK, TAGS = (f"a{number}" for number in range(6))


def translated(value: object) -> str | bool:
    return translate(parse_filter(value), columns_of(SCHEMA))


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ({"brand": "连衣裙"}, f'{BRAND} in ["=连衣裙"]'),
        ({"brand": {"$nin": ["A", "B"]}}, f'not ({BRAND} in ["=A", "=B"])'),
        ({"brand": {"$exists": True}}, f'{BRAND} != ""'),
        ({"new": True}, f"{NEW} in [2]"),
        ({"new": {"$exists": False}}, f"not ({NEW} != 0)"),
        ({"price": {"$gt": 200}}, f"{PRICE} > 200.0"),
        ({"price": {"$lte": 1e-7}}, f"({PRICE} != -1.7976931348623157e+308 and {PRICE} <= 1e-07)"),
        ({"since": {"$gte": "0001-01-02"}}, f"{SINCE} >= 2"),
        ({"since": {"$lt": "0001-01-02"}}, f"({SINCE} != 0 and {SINCE} < 2)"),
        ({"stock": {"$in": [3, 2.5]}}, f"{STOCK} in [3]"),
        ({"stock": {"$gt": 2.5}}, f"{STOCK} > 2"),
        ({"stock": {"$gt": -2.5}}, f"{STOCK} >= -2"),
        ({"tags": "夏季"}, f'array_contains_any({TAGS}, ["=夏季"])'),
        ({"tags": {"$exists": True}}, f'array_contains({TAGS}, "")'),
        ({"new": True, "stock": 1}, f"({NEW} in [2] and {STOCK} in [1])"),
        ({"$or": [{"new": True}, {"stock": 1}]}, f"({NEW} in [2] or {STOCK} in [1])"),
        ({"$not": {"new": True}}, f"not ({NEW} in [2])"),
    ],
    ids=str,
)
def test_an_expression_names_fields_and_stored_values(value: object, expression: str) -> None:
    assert translated(value) == expression


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ('" or row_key >= 0 or a0 == "', r'"=\" or row_key >= 0 or a0 == \""'),
        ("\\", r'"=\\"'),
        ('\\"', r'"=\\\""'),
        ("line\nfeed\r\ttab", r'"=line\nfeed\r\ttab"'),
        ("{x} %s $meta 𠮷'", '"={x} %s $meta 𠮷\'"'),
    ],
)
def test_a_text_cannot_leave_its_literal(text: str, literal: str) -> None:
    assert translated({"brand": text}) == f"{BRAND} in [{literal}]"


@pytest.mark.parametrize(
    ("value", "constant"),
    [
        ({}, True),
        ({"$not": {"stock": {"$ne": 2.5}}}, False),
        ({"stock": 2.5}, False),
        ({"stock": {"$ne": 2.5}}, True),
        ({"stock": {"$gt": 1e300}}, False),
        ({"stock": {"$lt": -1e300}}, False),
        ({"price": 2**53 + 1}, False),
        ({"$or": [{"new": True}, {"stock": {"$ne": 2.5}}]}, True),
        ({"$and": [{"new": True}, {"stock": 0.5}]}, False),
    ],
    ids=str,
)
def test_a_filter_that_passes_all_or_none_is_a_constant(value: object, constant: bool) -> None:
    assert translated(value) is constant


def test_a_number_beyond_all_integers_leaves_the_items_that_have_one() -> None:
    assert translated({"stock": {"$lt": 1e300}}) == f"{STOCK} != -9223372036854775808"
    assert translated({"stock": {"$gte": -1e300}}) == f"{STOCK} != -9223372036854775808"


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("brand", None, ""),
        ("brand", "", "="),
        ("new", None, 0),
        ("new", False, 1),
        ("new", True, 2),
        ("price", 3, 3.0),
        ("since", None, 0),
        ("since", "0001-01-01", 1),
        ("stock", None, -(2**63)),
        ("stock", -(2**63) + 1, -(2**63) + 1),
        ("tags", None, []),
        ("tags", ["", "夏"], ["", "=", "=夏"]),
    ],
)
def test_values_are_stored_so_that_a_missing_one_differs_from_all(
    name: str, value: AttributeValue | None, stored: object
) -> None:
    assert columns_of(SCHEMA)[name].stored(value) == stored


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("brand", "x" * 65_535),
        ("tags", ["x" * 65_535]),
        ("tags", ["x"] * 4_096),
        ("stock", -(2**63)),
        ("price", -1.7976931348623157e308),
    ],
    ids=["text", "string", "list", "integer", "number"],
)
def test_a_value_that_a_field_cannot_hold_is_refused(name: str, value: AttributeValue) -> None:
    with pytest.raises(InvalidRequest, match=f"attribute “{name}”"):
        columns_of(SCHEMA)[name].stored(value)


def test_more_attributes_than_a_collection_holds_are_refused() -> None:
    assert len(columns_of({f"n{number}": "string" for number in range(60)})) == 60
    with pytest.raises(InvalidRequest, match="61 attributes"):
        columns_of({f"n{number}": "string" for number in range(61)})


@pytest.mark.skipif(find_spec("pymilvus") is not None, reason="pymilvus is installed")
def test_without_the_extra_the_error_names_it() -> None:
    with pytest.raises(MissingDependency, match=r"'pymilvus': install tusou\[milvus\]"):
        create_index(MilvusSpec("http://127.0.0.1:19530", "products", "0" * 64), 4)
