"""Prompt templates for queries."""

from tusou.core.errors import InvalidRequest

_PLACEHOLDER = "{query}"


def check_prompt(template: str) -> str:
    """Return the template if it holds `{query}` exactly once; else raise InvalidRequest."""
    count = template.count(_PLACEHOLDER)
    if count != 1:
        raise InvalidRequest(
            f"A prompt template must hold {_PLACEHOLDER} exactly once; this one holds it "
            f"{count} times. Example: 这是一个商品搜索：{_PLACEHOLDER}"
        )
    return template


def fill_prompt(template: str, query: str) -> str:
    """Put the query into the template; other braces, in either of them, have no meaning."""
    return template.replace(_PLACEHOLDER, query)
