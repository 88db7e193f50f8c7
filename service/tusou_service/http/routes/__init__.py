"""The HTTP calls, grouped by subject."""
