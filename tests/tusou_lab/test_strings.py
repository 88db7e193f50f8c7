"""The Chinese and English strings of reports and sweeps belong together."""

from string import Formatter

from tusou_lab.strings import TABLES, strings_in


def test_each_key_stands_in_one_table() -> None:
    assert sum(map(len, TABLES)) == len(strings_in("zh")) == len(strings_in("en"))


def test_both_languages_have_the_same_fields() -> None:
    chinese, english = strings_in("zh"), strings_in("en")
    assert all(_fields(text) == _fields(english[key]) for key, text in chinese.items())


def _fields(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field}
