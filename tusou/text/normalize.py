"""What a query may be, and how a prompt template wraps it."""

import re
import unicodedata

from tusou.core.errors import EmptyQuery, InvalidRequest, QueryTooLong

MAX_QUERY_CHARS = 512
MAX_QUERY_BYTES = 2048

_PLACEHOLDER = "{query}"

# C0 and C1 controls, and lone surrogates, which no UTF-8 reply could carry.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def normalize_query(text: str) -> str:
    """Turn controls into spaces and strip; what is left is the raw text, with no NFKC.

    Full-width letters and digits have tokens of their own, so folding them would change results.
    Raises EmptyQuery when nothing visible is left, and QueryTooLong over 512 characters or
    2,048 bytes of UTF-8, both counted after stripping.
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
    """Turn controls and halves of surrogate pairs into spaces, and strip."""
    return _CONTROLS.sub(" ", text).strip()


def is_blank(text: str) -> bool:
    """Tell whether a text holds no visible character."""
    return all(_is_invisible(char) for char in text)


def _is_invisible(char: str) -> bool:
    """Tell spaces and format characters (zero-width, bidi marks): the tokenizer drops both."""
    return char.isspace() or unicodedata.category(char) == "Cf"


def check_prompt(template: str) -> str:
    """Return the template when it holds `{query}` exactly once; else raise InvalidRequest."""
    found = template.count(_PLACEHOLDER)
    if found != 1:
        raise InvalidRequest(
            f"A prompt template must hold {_PLACEHOLDER} exactly once; this one holds it "
            f"{found} times. Example: 这是一个商品搜索：{_PLACEHOLDER}"
        )
    return template


def fill_prompt(template: str, query: str) -> str:
    """Put the query where the template says; braces in either mean nothing else."""
    return template.replace(_PLACEHOLDER, query)
