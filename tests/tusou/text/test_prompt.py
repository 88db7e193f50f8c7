"""Prompt templates: filling and refusals."""

import pytest

from tusou.core.errors import InvalidRequest
from tusou.text.prompt import check_prompt, fill_prompt


def test_a_prompt_wraps_the_query() -> None:
    template = check_prompt("这是一个商品搜索：{query}")
    assert fill_prompt(template, "吊带裙") == "这是一个商品搜索：吊带裙"


def test_other_braces_in_query_and_template_have_no_meaning() -> None:
    template = check_prompt("{0} {query} {}")
    assert fill_prompt(template, "{query} {x}") == "{0} {query} {x} {}"


@pytest.mark.parametrize("template", ["", "商品", "{query}{query}", "{ query }", "{Query}"])
def test_a_prompt_must_hold_the_query_exactly_once(template: str) -> None:
    with pytest.raises(InvalidRequest, match="exactly once"):
        check_prompt(template)
