"""Texts that a model wrote are read from its answer and checked against their terms."""

import pytest
from tusou_lab.evalset.domain import Term
from tusou_lab.evalset.drawn_text import DrawnText
from tusou_lab.evalset.llm_json import read_object
from tusou_lab.evalset.llm_writer import adds_terms, find_fault, names_terms, read_texts


def drawn(style: str, *stated: str, refused: str | None = None) -> DrawnText:
    terms = tuple(Term(name=word) for word in stated)
    refusal = None if refused is None else Term(name=refused, words=(f"{refused}款",))
    concept = Term(name="连衣裙", words=("裙子",))
    return DrawnText(style, concept, "裙子", terms, stated, refusal, refused)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "asked", "fault", "named"),
    [
        ("红色裙子", drawn("short", "红色"), None, True),
        ("红色小裙", drawn("short", "红色"), None, False),
        ("好看的裙子", drawn("short", "红色"), None, False),
        ("红" * 26, drawn("short"), "too long for its style", False),
        ("裙子，不要碎花的", drawn("refusal", refused="碎花"), None, True),
        ("素色裙子", drawn("refusal", refused="碎花"), "does not refuse what it should", False),
        ("碎花裙子", drawn("refusal", refused="碎花"), "does not refuse what it should", True),
        ("抱歉，我不能回答", drawn("short", "红色"), "shares nothing with its terms", False),
        ("红色连一裙", drawn("typo", "红色"), None, True),
        ("洪涩连一群", drawn("typo", "红色"), None, False),
        ("红色连衣裙", drawn("typo", "红色"), "has no typing error", True),
        ("查询：红色裙子", drawn("short", "红色"), "not a text that people type", True),
        ('{"text": "裙子"}', drawn("short"), "not a text that people type", True),
    ],
)
def test_texts_are_checked(text: str, asked: DrawnText, fault: str | None, named: bool) -> None:
    assert find_fault(text, asked) == fault
    assert names_terms(text, asked) == named


@pytest.mark.parametrize(
    ("text", "asked", "adds"),
    [
        ("红色裙子", drawn("short", "红色"), False),
        ("红色纯棉裙子", drawn("short", "红色"), True),
        ("深红色裙子", drawn("short", "深红色"), False),
        ("红色裙子，不要碎花", drawn("sentence", "红色"), True),
        ("裙子，不要红色的", drawn("refusal", refused="红色"), False),
        ("有没有红色的裙子", drawn("sentence", "红色"), False),
    ],
)
def test_a_text_that_asks_for_more_is_not_decided(text: str, asked: DrawnText, adds: bool) -> None:
    values = [Term(name=name) for name in ("红色", "深红色", "纯棉", "裙")]
    assert adds_terms(text, asked, values) == adds


@pytest.mark.parametrize(
    ("answer_text", "texts"),
    [
        ('{"queries": ["a", " b ", "a", "", 3]}', ["a", "b"]),
        ('好的：\n```json\n{"queries": ["红裙"]}\n```', ["红裙"]),
        ('<think>{"queries": ["x"]}</think>{"queries": ["y"]}', ["y"]),
        ('{"queries": []}', None),
        ('{"queries": "红裙"}', None),
        ("红裙", None),
        ('{"queries": ["红', None),
        ("", None),
    ],
)
def test_texts_are_read_from_what_models_write(answer_text: str, texts: list[str] | None) -> None:
    assert read_texts(answer_text) == texts


def test_an_object_is_found_behind_braces_that_are_none() -> None:
    assert read_object('{好的} {"a": {"b": 1}} {"c": 2}') == {"a": {"b": 1}}
    assert read_object("{" * 100_000) is None
