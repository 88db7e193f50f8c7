"""Attributes of items as scalar fields of a Milvus collection, one field each.

Names of attributes may be of any script, so the fields are called a0, a1, ... in the order of the
names. No field is ever null: Milvus's rules for null have changed between its versions. Each type
has a value of its own that says that an item lacks the attribute:

    string   "" ; a value is stored behind a leading "="
    strings  [] ; a list is stored behind a leading "", its strings behind a leading "="
    integer  -2**63
    number   the least finite float
    boolean  0 ; false is 1, true is 2
    date     0 ; a date is its number of days, 0001-01-01 is 1
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias, cast

from tusou.attributes.filters import shown
from tusou.attributes.schema import Attributes, AttributeSchema, AttributeType, AttributeValue
from tusou.core.errors import InvalidRequest

# Limits of Milvus.
MAX_TEXT_BYTES = 65_535  # of a VARCHAR
MAX_LIST = 4_096  # strings of an ARRAY
MAX_FIELDS = 64  # of a collection
_OWN_FIELDS = 4  # row key, item id, vector, and whether the row is current

PRESENT_LIST: Final = ""  # the first string of every list

Stored: TypeAlias = str | int | float | list[str]

ABSENT: Mapping[AttributeType, Stored] = {
    "string": "",
    "strings": [],
    "integer": -(2**63),
    "number": -sys.float_info.max,
    "boolean": 0,
    "date": 0,
}


@dataclass(frozen=True, slots=True)
class MilvusColumn:
    """One attribute's field in a collection."""

    attribute: str
    field: str
    type: AttributeType

    def stored(self, value: AttributeValue | None) -> Stored:
        """Return a value as it is stored; InvalidRequest if Milvus cannot hold it."""
        if value is None:
            return ABSENT[self.type]
        stored = store(value, self.type)
        texts = stored if isinstance(stored, list) else [stored]
        too_long = any(
            isinstance(text, str) and len(text.encode()) > MAX_TEXT_BYTES for text in texts
        )
        if too_long or len(texts) > MAX_LIST or stored == ABSENT[self.type]:
            raise InvalidRequest(
                f"Milvus cannot hold a value of the attribute {shown(self.attribute)}: texts have "
                f"at most {MAX_TEXT_BYTES - 1:,} bytes, lists {MAX_LIST - 1:,} strings, and the "
                "least integer and float stand for no value"
            )
        return stored

    def nearest(self, value: AttributeValue | None) -> Stored:
        """Return a value as it is stored, or the one for no value if Milvus cannot hold it."""
        if self.type == "integer" and isinstance(value, float) and not value.is_integer():
            return ABSENT[self.type]
        try:
            return self.stored(value)
        except InvalidRequest:
            return ABSENT[self.type]


def check_attributes(attributes: Attributes, schema: AttributeSchema) -> None:
    """Raise InvalidRequest for attributes of which a collection could not hold each.

    `schema` has all attributes of the items, these among them.
    """
    columns = columns_of(schema)
    for name, value in attributes.items():
        columns[name].stored(value)


def store(value: AttributeValue, kind: AttributeType) -> Stored:
    """Return a value of an attribute in the form in which its field holds it."""
    if kind == "boolean":
        return 2 if value else 1
    if kind == "integer":
        return int(cast("int", value))
    if kind == "number":
        return float(cast("float", value)) + 0.0  # no -0.0, which an index may tell from 0.0
    if kind == "date":
        return date.fromisoformat(cast("str", value)).toordinal()
    if kind == "strings":
        return [PRESENT_LIST, *(f"={text}" for text in cast("list[str]", value))]
    return f"={value}"


def columns_of(schema: AttributeSchema) -> dict[str, MilvusColumn]:
    """Return the field of each attribute, by its name; InvalidRequest if there are too many."""
    if len(schema) > MAX_FIELDS - _OWN_FIELDS:
        raise InvalidRequest(
            f"{len(schema)} attributes, and a Milvus collection holds at most "
            f"{MAX_FIELDS - _OWN_FIELDS}; leave some out of the attributes' file"
        )
    names = sorted(schema)
    return {
        name: MilvusColumn(name, f"a{number}", schema[name]) for number, name in enumerate(names)
    }
