"""Filters: what they parse to, and which faults they name."""

import pytest

from tusou.attributes.filters import (
    AllOf,
    AnyOf,
    Condition,
    Not,
    check_filter,
    is_date,
    parse_filter,
)
from tusou.attributes.schema import AttributeSchema
from tusou.core.errors import InvalidRequest

SCHEMA: AttributeSchema = {
    "category": "string",
    "price": "number",
    "stock": "integer",
    "new": "boolean",
    "listed": "date",
    "tags": "strings",
}


def test_a_filter_of_every_kind_of_part() -> None:
    parsed = parse_filter(
        {
            "category": "连衣裙",
            "price": {"$gte": 50, "$lte": 200},
            "$or": [{"tags": {"$in": ["夏季", "新款"]}}, {"$not": {"new": True}}],
        }
    )
    assert parsed == AllOf(
        (
            Condition("category", "$eq", "连衣裙"),
            Condition("price", "$gte", 50),
            Condition("price", "$lte", 200),
            AnyOf(
                (
                    Condition("tags", "$in", ("夏季", "新款")),
                    Not(Condition("new", "$eq", value=True)),
                )
            ),
        )
    )
    assert hash(parsed) == hash(parsed)
    check_filter(parsed, SCHEMA)


def test_a_filter_of_one_condition_is_that_condition_and_an_empty_one_passes_everything() -> None:
    assert parse_filter({"price": 5}) == Condition("price", "$eq", 5)
    assert parse_filter({}) == AllOf(())


def nested(depth: int) -> object:
    value: object = {"price": 5}
    for _ in range(depth - 1):
        value = {"$not": value}
    return value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([], "dict_type"),
        ("price < 5", "dict_type"),
        ({"price": None}, "value_type"),
        ({"price": [1, 2]}, "value_type"),
        ({"price": float("nan")}, "value_type"),
        ({"price": 2**63}, "value_type"),
        ({"price": "5" * 1025}, "value_type"),
        ({"price": {}}, "missing"),
        ({"price": {"$between": [1, 2]}}, "unknown_operator"),
        ({"price": {"lt": 5}}, "unknown_operator"),
        ({"$nor": [{"price": 5}]}, "unknown_operator"),
        ({"price": {"$in": 5}}, "list_type"),
        ({"price": {"$in": []}}, "list_type"),
        ({"price": {"$in": [1] * 257}}, "list_type"),
        ({"price": {"$exists": 1}}, "bool_type"),
        ({"$or": {"price": 5}}, "list_type"),
        ({"$or": []}, "list_type"),
        ({"$or": [5]}, "dict_type"),
        ({"$or": [{"price": 5}, {}]}, "missing"),
        ({"$and": [{}]}, "missing"),
        ({"$not": {}}, "missing"),
        (nested(9), "too_deep"),
        (nested(100_000), "too_deep"),
        ({"$and": [{"price": n} for n in range(65)]}, "too_many_conditions"),
        ({f"a{n}": n for n in range(10_000)}, "too_many_conditions"),
        ({"$and": [{}] * 10_000}, "too_many_conditions"),
    ],
)
def test_faults_of_a_filter_have_a_kind_and_a_place(value: object, kind: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_filter(value)
    assert [detail.type for detail in raised.value.details] == [kind]
    assert raised.value.details[0].loc[:2] == ("body", "filter")


def test_the_limits_themselves_are_allowed() -> None:
    parse_filter(nested(8))
    parse_filter({"$and": [{"price": n} for n in range(64)]})
    parse_filter({"price": {"$in": list(range(256))}})


@pytest.mark.parametrize(
    ("value", "kind", "named"),
    [
        ({"colour": "红"}, "unknown_attribute", "“colour”"),
        ({"price": "5"}, "wrong_type", "“price” is of type number"),
        ({"price": True}, "wrong_type", "“price”"),
        ({"new": 1}, "wrong_type", "“new”"),
        ({"category": 5}, "wrong_type", "“category”"),
        ({"tags": {"$in": ["a", 5]}}, "wrong_type", "“tags”"),
        ({"listed": "yesterday"}, "wrong_type", "“listed”"),
        ({"category": {"$lt": "b"}}, "wrong_operator", "“category”"),
        ({"tags": {"$gte": "b"}}, "wrong_operator", "“tags”"),
        ({"x" * 5000: 1}, "unknown_attribute", "“" + "x" * 64 + "”"),
        ({"a\u202eb\n": 1}, "unknown_attribute", "“a?b?”"),
    ],
)
def test_a_filter_against_a_schema_names_the_attribute(
    value: object, kind: str, named: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        check_filter(parse_filter(value), SCHEMA)
    (detail,) = raised.value.details
    assert detail.type == kind
    assert named in detail.detail
    assert len(detail.detail) < 500


def test_all_faults_are_told_together_and_existence_has_no_type() -> None:
    check_filter(parse_filter({"price": {"$exists": False}, "stock": 3.5}), SCHEMA)
    check_filter(parse_filter({"listed": {"$lt": "2026-11-30"}}), SCHEMA)
    with pytest.raises(InvalidRequest) as raised:
        check_filter(parse_filter({"a": 1, "price": "x", "category": "y"}), SCHEMA)
    assert len(raised.value.details) == 2


def test_dates_are_written_in_full() -> None:
    assert is_date("2026-02-28")
    assert not any(map(is_date, ("2026-02-30", "2026-2-28", "20260228", "2026-W01-1", "", "今天")))
