"""Checks of attributes against the types that are known, and the types of new names."""

from collections.abc import Mapping
from math import isfinite

from tusou.attributes.filters import is_date, shown
from tusou.attributes.schema import AttributeSchema, AttributeType, AttributeValue
from tusou.attributes.values import MAX_ATTRIBUTES, MAX_STRINGS, MAX_TEXT_BYTES, name_fault
from tusou.core.errors import ErrorDetail, InvalidRequest

_EXACT = 2**53  # integers that a number holds exactly


def check_attributes(
    attributes: Mapping[str, object], schema: AttributeSchema
) -> tuple[dict[str, AttributeValue], dict[str, AttributeType]]:
    """Return the attributes as they are stored, and the types of names that the schema lacks.

    Integers of a new name make it a number, so that 5.5 can follow 5. Raises InvalidRequest that
    names every attribute with a wrong value.
    """
    values: dict[str, AttributeValue] = {}
    added: dict[str, AttributeType] = {}
    details = list[ErrorDetail]()
    for name, value in attributes.items():
        wrong_name = name_fault(name)
        fault = f"{wrong_name}." if wrong_name else None
        kind = schema.get(name) or infer_type(value)
        if fault is None and (kind is None or not has_type(value, kind)):
            fault = f"{shown(name)} is of type {kind}." if kind else f"{shown(name)} has no type."
        if fault is not None:
            details.append(ErrorDetail(("body", "attributes"), "attribute", fault))
            continue
        assert kind is not None
        values[name] = _stored(value, kind)
        if name not in schema:
            added[name] = kind
    if len(schema) + len(added) > MAX_ATTRIBUTES:
        message = f"There can be {MAX_ATTRIBUTES} different attributes."
        details.append(ErrorDetail(("body", "attributes"), "too_many", message))
    if details:
        raise InvalidRequest(details=details)
    return values, added


def infer_type(value: object) -> AttributeType | None:
    """Return the type of an attribute by its first value, None if it can be no attribute."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "number" if abs(value) <= _EXACT else "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "date" if is_date(value) else "string"
    return "strings" if isinstance(value, list) else None


def has_type(value: object, kind: AttributeType) -> bool:
    """Return whether a value can be stored as one of a type."""
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    if isinstance(value, list):
        return kind == "strings" and len(value) <= MAX_STRINGS and all(map(_is_text, value))
    if isinstance(value, str):
        return is_date(value) if kind == "date" else kind == "string" and _is_text(value)
    if isinstance(value, int) and kind == "integer":
        return -(2**63) <= value < 2**63
    if isinstance(value, int | float) and kind == "number":
        return abs(value) < 2**1023 and isfinite(value)
    return False


def _stored(value: object, kind: AttributeType) -> AttributeValue:
    """Return a value as a table of attributes gives it back."""
    if kind == "number":
        assert isinstance(value, int | float)
        return float(value) + 0.0  # no -0.0
    if kind == "strings":
        assert isinstance(value, list)
        return list(dict.fromkeys(value))
    assert isinstance(value, str | bool | int)
    return value


def _is_text(value: object) -> bool:
    """Return whether a value is a text that can be stored in UTF-8."""
    try:
        return isinstance(value, str) and len(value.encode()) <= MAX_TEXT_BYTES
    except UnicodeEncodeError:
        return False
