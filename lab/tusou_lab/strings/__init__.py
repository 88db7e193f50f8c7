"""Texts of reports and sweeps in Chinese and English."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from tusou.text.script import CommonLanguage
from tusou_lab.strings.facts import FACTS
from tusou_lab.strings.ladder import LADDER
from tusou_lab.strings.method import METHOD
from tusou_lab.strings.narrative import NARRATIVE
from tusou_lab.strings.sections import SECTIONS
from tusou_lab.strings.sweep import SWEEP

Language: TypeAlias = Literal["zh", "en"]
Strings: TypeAlias = Mapping[str, str]

# Pairs of Chinese and English texts; each key stands in one table.
TABLES = (SWEEP, SECTIONS, METHOD, NARRATIVE, FACTS, LADDER)


def strings_in(language: Language) -> Strings:
    """Return all texts in a language, by key."""
    column = ("zh", "en").index(language)
    return {key: texts[column] for table in TABLES for key, texts in table.items()}


def strings_about(words: Strings, texts: CommonLanguage) -> Strings:
    """Return all texts, those about captions and queries with the name of their language."""
    name = words[f"language_{texts}"]
    return {key: text.replace("{language}", name) for key, text in words.items()}
