"""Lines of JSON are parsed strictly, and every fault has its own phrase."""

import pytest

from tusou.core.errors import BadDataset
from tusou.core.json_objects import parse_object, parse_text_item


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param(b"", "blank line", id="empty"),
        pytest.param(b" \t\r", "blank line", id="blank"),
        pytest.param(b'{"a": "\xff"}', "not UTF-8 at byte 7; save the file as UTF-8", id="utf-8"),
        pytest.param(
            b"{",
            "not a JSON object (Expecting property name enclosed in double quotes, column 2)",
            id="broken",
        ),
        pytest.param(b"{} {}", "not a JSON object (Extra data, column 4)", id="two-objects"),
        pytest.param(b"[1]", "not a JSON object", id="list"),
        pytest.param(b"null", "not a JSON object", id="null"),
        pytest.param(
            b'{"a": -Infinity}',
            "not a JSON object (-Infinity is not a JSON number)",
            id="infinity",
        ),
        pytest.param(b"[" * 100_000, "not a JSON object (nested too deeply)", id="deep"),
    ],
)
def test_a_fault_is_named(line: bytes, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message is compared
        parse_object(line)
    assert str(raised.value) == message


def test_an_integer_beyond_pythons_limit_is_a_fault_of_the_line() -> None:
    with pytest.raises(ValueError, match=r"^not a JSON object \(Exceeds the limit"):
        parse_object(b'{"a": ' + b"9" * 5000 + b"}")


def test_the_last_of_repeated_fields_counts_unless_they_are_refused() -> None:
    assert parse_object(b'{"a": 1, "a": 2}') == {"a": 2}
    with pytest.raises(ValueError, match=r"^not a JSON object \(a field appears twice\)$"):
        parse_object(b'{"b": [{"a": 1, "a": 2}]}', unique_fields=True)


def test_numbers_can_be_kept_as_written() -> None:
    assert parse_object(b'{"a": [1.10, 2e400, -0]}', number=str) == {"a": ["1.10", "2e400", "-0"]}


@pytest.mark.parametrize(
    ("line", "item"),
    [
        (b'{"text_id": 1, "query_id": 2, "text": "a", "caption": "b"}', (1, "a")),
        (b'{"query_id": "2", "query_text": "b"}', ("2", "b")),
        (b'{"id": 3, "item_id": 4, "caption": ""}', (4, "")),
    ],
)
def test_a_text_item_may_use_any_of_the_names(line: bytes, item: tuple[int | str, str]) -> None:
    assert parse_text_item(line) == item


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[]", "not a JSON object"),
        (b'{"text": "x"}', "id missing, or neither an integer nor a string"),
        (b'{"id": false, "text": "x"}', "id missing, or neither an integer nor a string"),
        (b'{"id": 1, "text": null}', "text missing or not a string"),
    ],
)
def test_what_is_no_text_item_is_bad_data(line: bytes, message: str) -> None:
    with pytest.raises(BadDataset) as raised:
        parse_text_item(line)
    assert str(raised.value) == message
