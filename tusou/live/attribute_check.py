"""Checks of attributes against the types that are known, and the types of new names."""

from collections.abc import Mapping

from tusou.attributes.filters import shown
from tusou.attributes.schema import AttributeSchema, AttributeType, AttributeValue
from tusou.attributes.values import MAX_ATTRIBUTES, convert_value, name_fault, narrowest_type
from tusou.core.errors import ErrorDetail, InvalidRequest

_EXACT = 2**53  # integers that a number holds exactly
_LOCATION = ("body", "attributes")


def check_attributes(
    attributes: Mapping[str, object], schema: AttributeSchema
) -> tuple[dict[str, AttributeValue], dict[str, AttributeType]]:
    """Return the attributes as they are stored, and the types of names in which the schema changes.

    Integers of a new name make it a number, so that 5.5 can follow 5, and a fraction turns an
    attribute of integers into one of numbers. Raises InvalidRequest that
    names every attribute with a wrong value.
    """
    values: dict[str, AttributeValue] = {}
    added: dict[str, AttributeType] = {}
    details = list[ErrorDetail]()
    for name, value in attributes.items():
        if fault := name_fault(name):
            details.append(
                ErrorDetail(_LOCATION, "attribute_name", f"{fault[0].upper()}{fault[1:]}.")
            )
            continue
        try:
            known = schema.get(name)
            kind = known or _first_type(value)
            if known == "integer" and isinstance(value, float):
                kind = "number"
            values[name] = _stored(value, kind)
        except ValueError as error:
            details.append(ErrorDetail(_LOCATION, "attribute_type", f"{shown(name)} {error}."))
            continue
        if kind != known:
            added[name] = kind
    if len({*schema, *added}) > max(MAX_ATTRIBUTES, len(schema)):
        message = f"There can be {MAX_ATTRIBUTES} different attributes."
        details.append(ErrorDetail(_LOCATION, "too_many", message))
    if details:
        raise InvalidRequest(details=details)
    return values, added


def _first_type(value: object) -> AttributeType:
    """Return the type of a new name by its first value; ValueError if it cannot be an attribute."""
    kind = narrowest_type(value)
    if kind == "integer" and isinstance(value, int) and abs(value) <= _EXACT:
        return "number"
    return kind


def _stored(value: object, kind: AttributeType) -> AttributeValue:
    """Return a value as a table of attributes gives it back; ValueError if it has another type."""
    converted = convert_value(value, kind)
    if isinstance(converted, list):
        return list(dict.fromkeys(converted))
    return converted + 0.0 if isinstance(converted, float) else converted  # no -0.0
