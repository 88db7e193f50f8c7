"""The types of attributes."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

AttributeType: TypeAlias = Literal["string", "integer", "number", "boolean", "date", "strings"]
AttributeValue: TypeAlias = str | int | float | bool | list[str]  # dates as YYYY-MM-DD
AttributeSchema: TypeAlias = Mapping[str, AttributeType]  # by name
Attributes: TypeAlias = Mapping[str, AttributeValue]  # of one item; absent names have no value
