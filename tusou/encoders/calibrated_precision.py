"""The precision `int8-calibrated`, whose scales were computed from images of a pool.

A build is asked for `int8-calibrated`, and records the graph that it computed with:
`int8-calibrated:0123456789abcdef`, with the digest of the graph.
"""

import re

CALIBRATED = "int8-calibrated"
_NAME = re.compile(rf"{CALIBRATED}:([0-9a-f]{{16}})")


def calibrated_precision(digest: str) -> str:
    """Return the name of the precision of a graph with this digest."""
    return f"{CALIBRATED}:{digest}"


def graph_of(precision: str) -> str | None:
    """Return the digest of the graph that a precision names; None if it names none."""
    named = _NAME.fullmatch(precision)
    return named[1] if named else None


def names_graph(precisions: str) -> bool:
    """Return whether a precision, or one of a list with commas, names a graph."""
    return any(map(graph_of, precisions.split(",")))


def number_format(precision: str) -> str:
    """Return a precision without the graph that it names."""
    return CALIBRATED if graph_of(precision) else precision
