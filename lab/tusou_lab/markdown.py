"""Escapes for Markdown: queries, ids and file names are shown, never interpreted."""

import re
from html import escape

# Underscores inside a word, and brackets without a link after them, are not markup.
_MARKUP = re.compile(r"[\\`*|~]|(?<![^\W_])_|_(?![^\W_])|(?<=\])[(\[]")


def escape_text(text: str) -> str:
    """Return a line of the report's own text with the markup characters of HTML as entities.

    Entities, since some converters take a backslash before `<` for text and the tag for a tag.
    """
    return escape(" ".join(text.split()), quote=False)


def escape_inline(text: str) -> str:
    """Escape text from data for a table's cell, a heading or a link; none of it is markup then."""
    return escape(_MARKUP.sub(r"\\\g<0>", " ".join(text.split())), quote=False)
