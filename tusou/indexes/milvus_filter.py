"""Filters over attributes as expressions of Milvus.

The fields and their values are those of `milvus_columns`. Expressions are built of field names,
numbers and quoted texts alone: Milvus's templates would do the quoting, but not all of its servers
know them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from tusou.attributes.filters import AllOf, Condition, Filter, FilterValue, Not
from tusou.indexes.milvus_columns import ABSENT, PRESENT_LIST, MilvusColumn, Stored, store

# An expression, or the constant that a filter comes to: it selects all items, or none.
Expression: TypeAlias = str | bool

_MAX_INTEGER = 2**63 - 1
_SYMBOLS = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


def translate(selected: Filter, columns: Mapping[str, MilvusColumn]) -> Expression:
    """Return the expression that selects the items that pass a filter checked by `check_filter`.

    `columns` are those of the collection, by the name of the attribute.
    """
    if isinstance(selected, Condition):
        return _condition(selected, columns[selected.name])
    if isinstance(selected, Not):
        return _negated(translate(selected.part, columns))
    parts = [translate(part, columns) for part in selected.parts]
    return _joined("and" if isinstance(selected, AllOf) else "or", parts)


def quote(text: str) -> str:
    """Return a text as a literal of Milvus."""
    return f'"{text.translate(_ESCAPES)}"'


def _joined(word: str, parts: Sequence[Expression]) -> Expression:
    decisive = word == "or"  # the constant that decides: true or ..., false and ...
    if decisive in parts:
        return decisive
    texts = [part for part in parts if isinstance(part, str)]
    if not texts:
        return not decisive
    return texts[0] if len(texts) == 1 else f"({f' {word} '.join(texts)})"


def _negated(part: Expression) -> Expression:
    return f"not ({part})" if isinstance(part, str) else not part


def _condition(condition: Condition, column: MilvusColumn) -> Expression:
    operator, value = condition.operator, condition.value
    if operator == "$exists":
        return _exists(column) if value else _negated(_exists(column))
    if operator in _SYMBOLS:
        return _compared(column, operator, cast("FilterValue", value))
    values = value if isinstance(value, tuple) else (value,)
    selected = _is_one_of(column, values)
    return _negated(selected) if operator in ("$ne", "$nin") else selected


def _exists(column: MilvusColumn) -> str:
    if column.type == "strings":
        return f"array_contains({column.field}, {_literal(PRESENT_LIST)})"
    return f"{column.field} != {_literal(ABSENT[column.type])}"


def _is_one_of(column: MilvusColumn, values: Sequence[FilterValue]) -> Expression:
    """Return the expression of items whose value, or one of whose strings, is among values."""
    literals = [_stored(column, value) for value in values if _can_equal(column, value)]
    if not literals:
        return False
    joined = ", ".join(literals)
    if column.type == "strings":
        return f"array_contains_any({column.field}, [{joined}])"
    return f"{column.field} in [{joined}]"


def _can_equal(column: MilvusColumn, value: FilterValue) -> bool:
    """Return whether the field can hold a value; a number need not have the field's type."""
    if isinstance(value, str | bool):
        return True
    return _rounded(column, value) == value and abs(value) <= _largest(column)


def _compared(column: MilvusColumn, operator: str, value: FilterValue) -> Expression:
    """Return the expression of an order; items without the attribute never pass."""
    symbol = _SYMBOLS[operator]
    bound = _rounded(column, value)
    if not isinstance(value, str) and bound != value:
        # The field holds only the number's neighbors: a < 2.5 means a <= 2.
        symbol = f"{symbol[0]}=" if (bound < value) == (symbol[0] == "<") else symbol[0]
    if abs(bound) > _largest(column):
        return _exists(column) if (bound > 0) == (symbol[0] == "<") else False
    compared = f"{column.field} {symbol} {_literal(bound)}"
    # The value that says that there is none is the least of all.
    return compared if symbol[0] == ">" else f"({_exists(column)} and {compared})"


def _rounded(column: MilvusColumn, value: FilterValue) -> float:
    """Return a date or a number as the field holds it, rounded to the field's type."""
    return cast("float", store(value, column.type))


def _largest(column: MilvusColumn) -> float:
    return math.inf if column.type == "number" else _MAX_INTEGER


def _stored(column: MilvusColumn, value: FilterValue) -> str:
    """Return the literal of a filter's value, or of one string of a list, as the field holds it."""
    is_list = column.type == "strings"
    return _literal(f"={value}" if is_list else store(value, column.type))


def _literal(value: Stored) -> str:
    return quote(value) if isinstance(value, str) else repr(value)
