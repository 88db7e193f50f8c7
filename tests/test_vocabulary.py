"""The names and docstrings of the project: terms lead to files, and a class has one module."""

import re

from benchmarks.structure import (
    TERMS,
    broad_excepts,
    clause_docstrings,
    missing_terms,
    modules,
    repeated_classes,
)


def test_the_terms_of_the_field_lead_to_files() -> None:
    assert len(TERMS) >= 56
    assert len(missing_terms()) <= 4


def test_a_term_leads_nowhere_when_no_path_has_its_words(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.structure.TERMS", ("query cache", "front door", "keeper"))
    assert missing_terms() == ["front door", "keeper"]


def test_a_class_name_stands_in_one_module() -> None:
    assert repeated_classes() == {}


def test_every_docstring_is_a_noun_phrase_or_a_verb() -> None:
    assert clause_docstrings() == []


def test_broad_excepts_are_few_and_each_has_its_reason() -> None:
    places = broad_excepts()
    assert len(places) <= 8
    for place in places:
        path, _, line = place.rpartition(":")
        handler = next(m for m in modules() if m.as_posix().endswith(path))
        text = handler.read_text("utf-8").splitlines()[int(line) - 1]
        assert re.search(r"#.* \w+ \w+", text), place
