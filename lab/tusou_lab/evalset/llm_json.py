"""Finds the JSON object in the answer of a language model, which may stand in prose."""

import json
from typing import Any

_END_OF_THOUGHT = "</think>"
_MOST_STARTS = 50  # braces that are tried


def read_object(answer: str) -> dict[str, Any] | None:
    """Return the first whole JSON object after the model's thoughts; None without one."""
    text = answer.rpartition(_END_OF_THOUGHT)[2]
    decoder, start = json.JSONDecoder(), -1
    for _ in range(_MOST_STARTS):
        start = text.find("{", start + 1)
        if start < 0:
            break
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def texts_of(value: object) -> list[str]:
    """Return the different texts of a list, stripped, without blank ones; [] without a list."""
    listed = value if isinstance(value, list) else []
    texts = (text.strip() for text in listed if isinstance(text, str))
    return list(dict.fromkeys(text for text in texts if text))
