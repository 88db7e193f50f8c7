"""Filters over the attributes of items: parsed from JSON values, checked against a schema.

{"category": "连衣裙", "price": {"$lte": 200}, "$or": [{"brand": "A"}, {"tags": {"$in": ["夏季"]}}]}
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Literal, TypeAlias, cast, get_args

from tusou.attributes.schema import AttributeSchema, AttributeType
from tusou.core.errors import ErrorDetail, InvalidRequest

MAX_DEPTH = 8
MAX_CONDITIONS = 64
MAX_LIST = 256  # values of $in and $nin
_MAX_TEXT = 1024  # characters of a value
_SHOWN_CHARS = 64  # of an attribute's name in an error

Operator: TypeAlias = Literal["$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$in", "$nin", "$exists"]
FilterValue: TypeAlias = str | int | float | bool
Location: TypeAlias = tuple[str | int, ...]  # of a value in the request, such as ("body", "filter")

_OPERATORS = frozenset(get_args(Operator))
_ORDER = frozenset({"$lt", "$lte", "$gt", "$gte"})
_LISTS = frozenset({"$in", "$nin"})
_ORDERED_TYPES = frozenset({"integer", "number", "date"})


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. An item without the attribute passes only `$ne`, `$nin` and `$exists: false`.

    A list of strings passes `$eq` and `$in` if one of its strings does, and `$ne` and `$nin` if
    none of them does.
    """

    name: str
    operator: Operator
    value: FilterValue | tuple[FilterValue, ...]  # a tuple for $in and $nin


@dataclass(frozen=True, slots=True)
class AllOf:
    """Passes if all parts pass; without parts, always."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Passes if one of the parts passes."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """Passes if its part does not."""

    part: "Filter"


Filter: TypeAlias = Condition | AllOf | AnyOf | Not  # hashable: equal filters select equal items


def parse_filter(value: object, location: Location = ("body", "filter")) -> Filter:
    """Return the filter of a JSON object; InvalidRequest, with the location of the fault."""
    parsed = _Parser().parse(value, location, 1)
    if sum(1 for _ in conditions(parsed)) > MAX_CONDITIONS:
        message = f"A filter has at most {MAX_CONDITIONS} conditions."
        raise _invalid(location, "too_many_conditions", message)
    return parsed


def conditions(selected: Filter) -> Iterator[Condition]:
    """Yield all conditions of a filter."""
    if isinstance(selected, Condition):
        yield selected
    elif isinstance(selected, Not):
        yield from conditions(selected.part)
    else:
        for part in selected.parts:
            yield from conditions(part)


def check_filter(
    selected: Filter, schema: AttributeSchema, location: Location = ("body", "filter")
) -> None:
    """Raise InvalidRequest for an attribute that the schema lacks, or a value of a wrong type."""
    details = [
        ErrorDetail(location, *fault)
        for condition in conditions(selected)
        if (fault := _fault(condition, schema))
    ]
    if details:
        raise InvalidRequest(details=details)


def check_names(names: Iterable[str], schema: AttributeSchema, location: Location) -> None:
    """Raise InvalidRequest for names that the schema lacks; `location` is of the list of them."""
    details = [
        ErrorDetail(location, "unknown_attribute", unknown_attribute(name, schema))
        for name in names
        if name not in schema
    ]
    if details:
        raise InvalidRequest(details=details)


class _Parser:
    """Parses one filter and counts its conditions, and the members of $and and $or with them."""

    def __init__(self) -> None:
        self._nodes = 0

    def parse(self, value: object, location: Location, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise _invalid(location, "too_deep", f"A filter is at most {MAX_DEPTH} levels deep.")
        parts: list[Filter] = []
        for name, operand in _object(value, location).items():
            if name in ("$and", "$or"):
                inner = self._list(operand, (*location, name), depth)
                parts.append(AllOf(inner) if name == "$and" else AnyOf(inner))
            elif name == "$not":
                parts.append(Not(self.parse(operand, (*location, name), depth + 1)))
            elif name.startswith("$"):
                known = "$and, $or and $not"
                raise _invalid(location, "unknown_operator", f"Operators here are {known}.")
            else:
                parts += self._conditions(name, operand, location)
        if not parts and depth > 1:  # it would pass all items, perhaps all of a deletion
            raise _invalid(location, "missing", "A filter inside another needs a condition.")
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _list(self, value: object, location: Location, depth: int) -> tuple[Filter, ...]:
        if not isinstance(value, list) or not value:
            raise _invalid(location, "list_type", "Give a list of filters.")
        self._count_nodes(len(value), location)
        return tuple(self.parse(part, location, depth + 1) for part in value)

    def _conditions(self, name: str, operand: object, location: Location) -> list[Filter]:
        comparisons = operand if isinstance(operand, dict) else {"$eq": operand}
        if not comparisons:
            raise _invalid(location, "missing", f"{shown(name)} needs an operator, such as $eq.")
        self._count_nodes(len(comparisons), location)
        return [self._condition(name, *pair, location) for pair in comparisons.items()]

    def _condition(self, name: str, operator: str, value: object, location: Location) -> Condition:
        if operator not in _OPERATORS:
            names = ", ".join(get_args(Operator))
            raise _invalid(location, "unknown_operator", f"Operators of {shown(name)} are {names}.")
        known = cast("Operator", operator)
        if operator in _LISTS:
            if not isinstance(value, list) or not 1 <= len(value) <= MAX_LIST:
                message = f"{operator} of {shown(name)} takes a list of 1 to {MAX_LIST} values."
                raise _invalid(location, "list_type", message)
            values = tuple(_scalar(each, name, location) for each in value)
            return Condition(name, known, values)
        if operator == "$exists" and not isinstance(value, bool):
            raise _invalid(location, "bool_type", f"$exists of {shown(name)} is true or false.")
        return Condition(name, known, _scalar(value, name, location))

    def _count_nodes(self, count: int, location: Location) -> None:
        self._nodes += count
        if self._nodes > 2 * MAX_CONDITIONS:
            message = f"A filter has at most {MAX_CONDITIONS} conditions."
            raise _invalid(location, "too_many_conditions", message)


def shown(name: str) -> str:
    """Return an attribute's name as it may stand in an error: quoted, and cut if it is long."""
    printable = "".join(char if char.isprintable() else "?" for char in name[:_SHOWN_CHARS])
    return f"“{printable}”"


def unknown_attribute(name: str, schema: AttributeSchema) -> str:
    """Return the message for a name that a schema lacks."""
    known = ", ".join(map(shown, sorted(schema)[:20])) or "none"
    return f"No attribute is called {shown(name)}; there are: {known}."


def _object(value: object, location: Location) -> Mapping[str, object]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise _invalid(location, "dict_type", 'A filter is an object, such as {"price": 5}.')
    return value


def _scalar(value: object, name: str, location: Location) -> FilterValue:
    usable = isinstance(value, bool | int | float | str)
    if isinstance(value, float):
        usable = isfinite(value)
    if isinstance(value, str):
        usable = len(value) <= _MAX_TEXT
    if isinstance(value, int):
        usable = abs(value) < 2**63
    if not usable:
        message = f"{shown(name)} is compared with texts, numbers, true or false."
        raise _invalid(location, "value_type", message)
    return cast("FilterValue", value)


def _fault(condition: Condition, schema: AttributeSchema) -> tuple[str, str] | None:
    """Return the type and the message of a condition's fault, if it has one."""
    name = shown(condition.name)
    kind = schema.get(condition.name)
    if kind is None:
        return "unknown_attribute", unknown_attribute(condition.name, schema)
    if condition.operator == "$exists":
        return None
    if condition.operator in _ORDER and kind not in _ORDERED_TYPES:
        return "wrong_operator", f"{name} is of type {kind}, which has no order."
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if not all(_has_type(value, kind) for value in values):
        return "wrong_type", f"{name} is of type {kind}."
    return None


def _has_type(value: FilterValue, kind: AttributeType) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "number"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "date":
        return isinstance(value, str) and is_date(value)
    return isinstance(value, str)


def is_date(text: str) -> bool:
    """Return whether a text is a date as YYYY-MM-DD."""
    try:
        return len(text) == 10 and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _invalid(location: Location, kind: str, message: str) -> InvalidRequest:
    return InvalidRequest(details=[ErrorDetail(location, kind, message)])
