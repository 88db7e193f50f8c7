"""Normalisation of query text."""

import re
import unicodedata

from tusou.core.errors import EmptyQuery, QueryTooLong

MAX_QUERY_CHARS = 512
MAX_QUERY_BYTES = 2048

# C0 and C1 controls, and lone surrogates, which UTF-8 cannot encode.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def normalize_query(text: str) -> str:
    """Replace control characters by spaces and strip.

    There is no NFKC: full-width letters and digits have tokens of their own, so folding them would
    change results. Raises EmptyQuery when nothing visible is left, and QueryTooLong over 512
    characters or 2,048 bytes of UTF-8, both counted after stripping.
    """
    query = without_controls(text)
    if len(query) > MAX_QUERY_CHARS:
        raise QueryTooLong(
            f"The query has {len(query)} characters; shorten it to {MAX_QUERY_CHARS} or fewer."
        )
    size = len(query.encode())
    if size > MAX_QUERY_BYTES:
        raise QueryTooLong(
            f"The query has {size} bytes of UTF-8; shorten it to {MAX_QUERY_BYTES} or fewer."
        )
    if is_blank(query):
        raise EmptyQuery("The query holds no visible character; send some text to search for.")
    return query


def without_controls(text: str) -> str:
    """Replace control characters and lone surrogates by spaces, and strip."""
    return _CONTROLS.sub(" ", text).strip()


def is_blank(text: str) -> bool:
    """Return whether a text has no visible character."""
    # The tokenizer drops spaces and format characters (zero-width, bidirectional marks).
    return all(char.isspace() or unicodedata.category(char) == "Cf" for char in text)
