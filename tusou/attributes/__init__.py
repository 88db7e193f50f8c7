"""Attributes of items: types, tables, filters and counts."""
