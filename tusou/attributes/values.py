"""Names and values of attributes: their limits, and the type that a value has."""

import math
from typing import cast

from tusou.attributes.filters import is_date, shown
from tusou.attributes.schema import AttributeType, AttributeValue

MAX_ATTRIBUTES = 256  # of all items together
MAX_NAME_CHARS = 64
MAX_TEXT_BYTES = 16_384  # in UTF-8
MAX_STRINGS = 256  # of a list

# The name of each type in a sentence.
DESCRIPTIONS: dict[AttributeType, str] = {
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date",
    "strings": "a list of strings",
}


def name_fault(name: str) -> str | None:
    """Return why a name cannot be that of an attribute, None if it can."""
    if not name:
        return "a value without an attribute's name"
    if name.startswith("$"):
        return f"{shown(name)} begins with $, as operators of filters do"
    if len(name) > MAX_NAME_CHARS:
        return f"{shown(name)}… is a name of over {MAX_NAME_CHARS} characters"
    if not name.isprintable() or name != name.strip():
        return f"{shown(name)} is a name with invisible characters, or blanks around it"
    return None


def narrowest_type(value: object) -> AttributeType:
    """Return the narrowest type of a JSON value; ValueError says in a phrase why it has none."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("is an integer beyond 64 bits")
        return "integer"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("is not a finite number")
        return "number"
    if isinstance(value, str):
        _check_text(value)
        return "date" if is_date(value) else "string"
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        if len(value) > MAX_STRINGS:
            raise ValueError(f"is a list of over {MAX_STRINGS} strings")
        for text in value:
            _check_text(text)
        return "strings"
    if isinstance(value, list):
        raise ValueError("is a list of other things than strings")
    raise ValueError("is an object; write its members as attributes of their own")


def convert_value(value: object, kind: AttributeType) -> AttributeValue:
    """Return a JSON value as one of a type; ValueError says in a phrase why it is not."""
    narrowest = narrowest_type(value)
    if narrowest == "date" and kind == "string":
        return cast("str", value)
    if narrowest == "integer" and kind == "number":
        number = cast("int", value)
        if float(number) != number:
            raise ValueError("is an integer that is not exact among numbers with fractions")
        return float(number)
    if narrowest != kind:
        raise ValueError(f"is {DESCRIPTIONS[narrowest]}, not {DESCRIPTIONS[kind]}")
    return cast("AttributeValue", value)


def _check_text(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("is a text with half of a surrogate pair") from None
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"is a text of over {MAX_TEXT_BYTES:,} bytes")
