"""The types of attributes."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from tusou.core.hits import Attributes, AttributeValue

AttributeType: TypeAlias = Literal["string", "integer", "number", "boolean", "date", "strings"]
AttributeSchema: TypeAlias = Mapping[str, AttributeType]  # by name

FEW_VALUES = 100  # an attribute with more values is not worth a list of them with counts

__all__ = ["FEW_VALUES", "AttributeSchema", "AttributeType", "AttributeValue", "Attributes"]
