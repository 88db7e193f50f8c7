"""Compares two runs over the same queries."""
