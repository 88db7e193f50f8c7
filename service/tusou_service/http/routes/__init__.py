"""The HTTP calls, one module a subject."""
