"""Attribute tables against plain Python: filters, counts, codes, and the file."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.reliability.forgery import mutate
from tusou.attributes.filters import (
    AllOf,
    AnyOf,
    Condition,
    Filter,
    FilterValue,
    Not,
    Operator,
    parse_filter,
)
from tusou.attributes.schema import Attributes, AttributeSchema, AttributeType, AttributeValue
from tusou.attributes.table import AttributeTable
from tusou.core.errors import InvalidRequest

SCHEMA: AttributeSchema = {
    "title": "string",
    "price": "number",
    "stock": "integer",
    "new": "boolean",
    "listed": "date",
    "tags": "strings",
}
GOODS: list[Attributes] = [
    {
        "title": "纯棉碎花吊带裙 女夏",
        "price": 99.0,
        "stock": 2**53 + 1,
        "new": True,
        "listed": "2024-02-29",
        "tags": ["夏季", "新款"],
    },
    {"title": "北欧轻奢边几", "price": 99, "stock": 0, "new": False, "tags": []},
    {},  # an item of which nothing is known
    {"title": "", "price": 0.1, "listed": "1999-12-31", "tags": ["夏季", "夏季"]},
    {"title": "iPhone15手机壳", "price": 1e300, "stock": -(2**63), "tags": ["新款", ""]},
]
OPERATORS: dict[Operator, Callable[[FilterValue, FilterValue], bool]] = {
    "$lt": lambda value, operand: value < operand,  # type: ignore[operator]
    "$lte": lambda value, operand: value <= operand,  # type: ignore[operator]
    "$gt": lambda value, operand: value > operand,  # type: ignore[operator]
    "$gte": lambda value, operand: value >= operand,  # type: ignore[operator]
}


def passes(row: Attributes, selected: Filter) -> bool:
    """Evaluate a filter on the attributes of one item, as documented."""
    if isinstance(selected, AllOf):
        return all(passes(row, part) for part in selected.parts)
    if isinstance(selected, AnyOf):
        return any(passes(row, part) for part in selected.parts)
    if isinstance(selected, Not):
        return not passes(row, selected.part)
    return compares(row.get(selected.name), selected)


def compares(value: AttributeValue | None, selected: Condition) -> bool:
    """Compare one item's value with that of a condition."""
    operand = selected.value
    if selected.operator == "$exists":
        return (value is not None) == operand
    if value is None:
        return selected.operator in ("$ne", "$nin")
    values = value if isinstance(value, list) else [value]
    operands = operand if isinstance(operand, tuple) else (operand,)
    if selected.operator in ("$eq", "$in"):
        return any(each in operands for each in values)
    if selected.operator in ("$ne", "$nin"):
        return not any(each in operands for each in values)
    return OPERATORS[selected.operator](values[0], operands[0])


# Few different values, so that many are equal, and those where 64-bit types end.
EDGES = [0, 1, 2**53 - 1, 2**53, 2**53 + 1, 2**62 + 1, 2**63 - 1]
INTEGERS = st.sampled_from([*EDGES, *(-edge for edge in EDGES), -(2**63)]) | st.integers(-5, 5)
FLOATS = st.sampled_from([0.0, -0.0, 0.1, 0.5, 2.0**53, 2.0**63, -(2.0**63), 1e300, 5e-324])
TEXTS = st.sampled_from(["", "裙", "连衣裙", "A", "a", "𠮷", "夏季", "A\u0000", "\uffff"])
DATES = st.dates(date(1, 1, 1), date(9999, 12, 31)) | st.dates(date(1969, 12, 30), date(1970, 1, 2))
VALUES: dict[AttributeType, st.SearchStrategy[AttributeValue]] = {
    "string": TEXTS,
    "integer": INTEGERS,
    "number": FLOATS | st.integers(-3, 3),
    "boolean": st.booleans(),
    "date": DATES.map(date.isoformat),
    "strings": st.lists(TEXTS, max_size=3),
}
OPERANDS: dict[AttributeType, st.SearchStrategy[FilterValue]] = {
    "string": TEXTS | st.just("不存在"),
    "integer": INTEGERS.filter(lambda number: abs(number) < 2**63) | FLOATS | st.just(-0.5),
    "number": INTEGERS.filter(lambda number: abs(number) < 2**63) | FLOATS,
    "boolean": st.booleans(),
    "date": DATES.map(date.isoformat),
    "strings": TEXTS,
}


@st.composite
def rows(draw: st.DrawFn) -> list[Attributes]:
    present = {name: st.none() | VALUES[kind] for name, kind in SCHEMA.items()}
    drawn = draw(st.lists(st.fixed_dictionaries(present), max_size=12))
    return [{n: value for n, value in row.items() if value is not None} for row in drawn]


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    name, kind = draw(st.sampled_from(sorted(SCHEMA.items())))
    known: list[Operator] = ["$eq", "$ne", "$in", "$nin", "$exists"]
    if kind in ("integer", "number", "date"):
        known += OPERATORS
    operator = draw(st.sampled_from(known))
    if operator == "$exists":
        return Condition(name, operator, draw(st.booleans()))
    if operator in ("$in", "$nin"):
        values = st.lists(OPERANDS[kind], min_size=1, max_size=8)
        return Condition(name, operator, tuple(draw(values)))
    return Condition(name, operator, draw(OPERANDS[kind]))


FILTERS = st.recursive(
    conditions(),
    lambda parts: st.one_of(
        st.lists(parts, max_size=3).map(lambda some: AllOf(tuple(some))),
        st.lists(parts, max_size=3).map(lambda some: AnyOf(tuple(some))),
        parts.map(Not),
    ),
    max_leaves=6,
)


@settings(max_examples=600, deadline=None)
@given(rows(), FILTERS)
def test_a_mask_is_what_plain_python_says_of_each_item(
    drawn: list[Attributes], selected: Filter
) -> None:
    table = AttributeTable.from_rows(SCHEMA, drawn)
    assert table.mask(selected).tolist() == [passes(row, selected) for row in drawn]


@settings(max_examples=200, deadline=None)
@given(rows(), st.sampled_from(sorted(SCHEMA)), st.data())
def test_counts_and_codes_are_those_of_plain_python(
    drawn: list[Attributes], name: str, data: st.DataObject
) -> None:
    table = AttributeTable.from_rows(SCHEMA, drawn)
    mask = data.draw(st.lists(st.booleans(), min_size=len(drawn), max_size=len(drawn)))
    counted: Counter[AttributeValue] = Counter()
    for row, chosen in zip(drawn, mask, strict=True):
        value = row.get(name)
        if chosen and value is not None:
            counted.update(set(value) if isinstance(value, list) else [value])
    expected = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    assert table.facet(name, np.array(mask, np.bool_), 3) == expected[:3]
    codes = table.codes(name).tolist()
    stored = [row.get(name) for row in table.rows(range(len(drawn)))]
    for one, first in enumerate(stored):
        for other, second in enumerate(stored[:one]):
            assert (codes[one] == codes[other]) == (first is not None and first == second)


@settings(max_examples=100, deadline=None)
@given(rows(), st.data())
def test_taken_items_have_their_attributes_in_the_new_order(
    drawn: list[Attributes], data: st.DataObject
) -> None:
    table = AttributeTable.from_rows(SCHEMA, [*drawn, {}])
    keys = data.draw(st.lists(st.integers(-1, len(drawn)), max_size=8))
    taken = table.take(np.array(keys, np.int64))
    everything = [*table.rows(range(len(table))), {}]  # key -1 is the last
    assert taken.rows(range(len(taken))) == [everything[key] for key in keys]
    selected = Condition("tags", "$in", ("夏季", ""))
    assert taken.mask(selected).tolist() == [passes(everything[key], selected) for key in keys]


def test_rows_have_the_values_that_were_given() -> None:
    table = AttributeTable.from_rows(SCHEMA, GOODS)
    assert len(table) == 5
    once = {**GOODS[3], "tags": ["夏季"]}  # equal strings of a list are stored once
    assert table.rows(range(5)) == [*GOODS[:3], once, GOODS[4]]
    assert table.row(2) == {}
    assert table.rows([4, 0], ["price", "listed"]) == [
        {"price": 1e300},
        {"price": 99.0, "listed": "2024-02-29"},
    ]
    assert table.rows([0], []) == [{}]


def test_integers_beyond_the_floats_are_compared_exactly() -> None:
    table = AttributeTable.from_rows(SCHEMA, GOODS)

    def mask(value: object) -> list[bool]:
        return table.mask(parse_filter({"stock": value})).tolist()

    assert mask(2**53) == [False] * 5
    assert mask({"$gt": 2**53}) == mask({"$gt": 2.0**53}) == [True, False, False, False, False]
    assert mask({"$gte": -(2.0**63)}) == [True, True, False, False, True]


def test_facets_count_the_strings_of_lists_and_only_items_of_the_mask() -> None:
    table = AttributeTable.from_rows(SCHEMA, GOODS)
    assert table.facet("tags") == [("夏季", 2), ("新款", 2), ("", 1)]
    assert table.facet("tags", table.mask(parse_filter({"new": True}))) == [
        ("夏季", 1),
        ("新款", 1),
    ]
    assert table.facet("price", limit=1) == [(99.0, 2)]
    assert table.facet("new") == [(False, 1), (True, 1)]
    assert table.facet("listed") == [("1999-12-31", 1), ("2024-02-29", 1)]


def test_a_mask_is_computed_once_and_cannot_be_changed() -> None:
    table = AttributeTable.from_rows(SCHEMA, GOODS)
    selected = parse_filter({"price": {"$lte": 99}})
    assert table.mask(selected) is table.mask(parse_filter({"price": {"$lte": 99}}))
    assert not table.mask(selected).flags.writeable
    assert not table.mask(parse_filter({"new": {"$exists": True}})).flags.writeable
    assert table.mask(parse_filter({"price": 99})).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("value", [{"colour": "红"}, {"price": "99"}, {"title": {"$lt": "a"}}])
def test_a_filter_of_another_schema_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest):
        AttributeTable.from_rows(SCHEMA, GOODS).mask(parse_filter(value))


@settings(max_examples=50, deadline=None)
@given(rows())
def test_a_file_holds_the_table_and_equal_tables_equal_bytes(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Attributes]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    table = AttributeTable.from_rows(SCHEMA, drawn)
    table.write(folder / "a.arrow")
    stored = AttributeTable.read(folder / "a.arrow")
    assert stored.schema == SCHEMA
    assert stored.rows(range(len(stored))) == table.rows(range(len(table)))
    stored.write(folder / "b.arrow")
    AttributeTable.from_rows(SCHEMA, table.rows(range(len(table)))).write(folder / "c.arrow")
    written = {path.read_bytes() for path in folder.iterdir()}
    assert len(written) == 1


def test_other_programs_read_the_file(tmp_path: Path) -> None:
    AttributeTable.from_rows(SCHEMA, GOODS).write(tmp_path / "a.arrow")
    with pa.ipc.open_file(tmp_path / "a.arrow") as reader:
        table = reader.read_all()
    assert table["title"].to_pylist() == [row.get("title") for row in GOODS]
    assert table["listed"].to_pylist()[3] == date(1999, 12, 31)
    assert table["tags"].to_pylist()[4] == ["新款", ""]


def encoded(texts: list[str | None], indices: list[int | None]) -> pa.DictionaryArray:
    codes = pa.array(indices, pa.int32())
    return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.large_string()), safe=False)


def lists(offsets: list[int], values: pa.Array) -> pa.Array:
    buffers = [None, pa.py_buffer(np.array(offsets, np.int64).tobytes())]
    kind = pa.large_list(values.type)
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers, children=[values])


@pytest.mark.parametrize(
    "columns",
    [
        {"x": pa.array([1.5, float("nan")])},
        {"x": pa.array([1.5, float("inf")])},
        {"x": pa.array([0, 2**30], pa.int32()).view(pa.date32())},
        {"x": pa.array(["a", "b"])},
        {"x": pa.array([1, 2], pa.int32())},
        {"x": encoded(["b", "a"], [0, 1])},
        {"x": encoded(["a", "a"], [0, 1])},
        {"x": encoded(["a", None], [0, 1])},
        {"x": encoded(["a", "b"], [0, 2])},
        {"x": encoded(["a", "b"], [0, -1])},
        {"x": lists([0, 2, 1], encoded(["a"], [0]))},
        {"x": lists([0, 9, 1], encoded(["a"], [0]))},
        {"x": lists([0, 1, 2], encoded(["a"], [0, None]))},
        {},
    ],
)
def test_a_forged_file_is_refused(tmp_path: Path, columns: dict[str, pa.Array]) -> None:
    fields = [pa.field(name, array.type) for name, array in columns.items()]
    batch = pa.record_batch(list(columns.values()), schema=pa.schema(fields))
    with pa.ipc.new_file(tmp_path / "x.arrow", batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(ValueError, match=r"\w"):
        AttributeTable.read(tmp_path / "x.arrow")


def test_files_of_several_batches_or_equal_names_are_refused(tmp_path: Path) -> None:
    batch = pa.record_batch({"x": pa.array([1, 2])})
    with pa.ipc.new_file(tmp_path / "x.arrow", batch.schema) as writer:
        writer.write_batch(batch)
        writer.write_batch(batch)
    with pytest.raises(ValueError, match="not one record batch"):
        AttributeTable.read(tmp_path / "x.arrow")
    batch = pa.record_batch([pa.array([1])] * 2, names=["x", "x"])
    with pa.ipc.new_file(tmp_path / "x.arrow", batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(ValueError, match="two of one name"):
        AttributeTable.read(tmp_path / "x.arrow")


def test_random_damages_are_refused_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    AttributeTable.from_rows(SCHEMA, GOODS * 20).write(path)
    data = path.read_bytes()
    refused = 0
    for seed in range(1500):
        draw = random.Random(seed)
        path.write_bytes(mutate(data, draw.choice(["flip", "cut", "zero", "append"]), draw))
        try:
            table = AttributeTable.read(path)
        except (ValueError, OSError, MemoryError):
            refused += 1
            continue
        table.rows(range(len(table)))
        for name in table.schema:
            table.facet(name)
            table.codes(name)
            table.mask(Condition(name, "$exists", value=True))
    assert refused > 300
