"""The types of attributes."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from tusou.core.hits import Attributes, AttributeValue

AttributeType: TypeAlias = Literal["string", "integer", "number", "boolean", "date", "strings"]
AttributeSchema: TypeAlias = Mapping[str, AttributeType]  # by name

__all__ = ["AttributeSchema", "AttributeType", "AttributeValue", "Attributes"]
