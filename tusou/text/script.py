"""The script of texts, and the main language of a collection."""

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

# The language of more than half of a collection's texts.
CommonLanguage: TypeAlias = Literal["Chinese", "English", "other"]

HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
LATIN = re.compile(r"[A-Za-z]")
_KANA = re.compile(r"[\u3041-\u30ff]")
# No other language has as many of these words; a caption of six words has one or two.
_ENGLISH = re.compile(r"\b(?:a|an|and|are|at|in|is|of|on|the|to|with)\b", re.IGNORECASE)


def common_language(texts: Iterable[str]) -> CommonLanguage:
    """Return the language of more than half of the texts, if it is Chinese or English."""
    texts = list(texts)
    chinese = sum(HAN.search(text) is not None and not _KANA.search(text) for text in texts)
    english = sum(HAN.search(text) is None and _ENGLISH.search(text) is not None for text in texts)
    if 2 * chinese > len(texts):
        return "Chinese"
    return "English" if 2 * english > len(texts) else "other"


def is_without_chinese(text: str) -> bool:
    """Return whether a text has Latin letters and no Chinese character."""
    return LATIN.search(text) is not None and HAN.search(text) is None
