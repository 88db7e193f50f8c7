"""The script of texts: Chinese-CLIP reads Chinese, and other texts find little with it."""

import re
from collections.abc import Iterable

HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
LATIN = re.compile(r"[A-Za-z]")


def is_without_chinese(text: str) -> bool:
    """Return whether a text has Latin letters and no Chinese character."""
    return LATIN.search(text) is not None and HAN.search(text) is None


def hint_at_language(texts: Iterable[str]) -> str | None:
    """Return a sentence if more than half of the texts are without Chinese; else None."""
    texts = list(texts)
    count = sum(map(is_without_chinese, texts))
    if 2 * count <= len(texts):
        return None
    return (
        f"warning: {count} of {len(texts)} texts have no Chinese character, but the model reads "
        "Chinese; give Chinese captions, or a model for the language of the texts."
    )
