"""Prompts of a vision language model: for the guideline of a query, and the grade of an image."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from tusou.stages.endpoint_prompt import (
    CAUTION,
    GRADES,
    Message,
    object_schema,
    quote,
    text_part,
)

GUIDELINE_TOKENS, GRADE_TOKENS = 400, 300

_GUIDELINE_SYSTEM = f"""\
你负责为图片搜索的相关性标注写标注说明。标注分四级：
{GRADES}
针对用户给出的查询，用三到五句话写明：什么样的图片是 3 级，什么样的是 2 级、1 级、0 级，
以及容易弄错的情况怎么判。
不要提问，不要列举查询里没有的要求。只输出一个 JSON 对象：{{"guideline": "……"}}"""

_GRADE_SYSTEM = f"""\
你是图片搜索的相关性标注员。用户会给出一条查询、这条查询的标注说明和一张图片。
请判断图片与查询的符合程度，按下面的标准打分：
{GRADES}
{CAUTION}
先用一句话写理由，再给分。只输出一个 JSON 对象：{{"reason": "……", "grade": 2}}"""

_DOMAIN, _QUERY, _GUIDELINE = "领域说明：{domain}", "查询：{query}", "标注说明：{guideline}"


def prompt_digest(domain_guideline: str | None, image_side: int) -> str:
    """Return a digest of the prompts, and of the size in which images are sent."""
    prompts = (_GUIDELINE_SYSTEM, _GRADE_SYSTEM, _DOMAIN, _QUERY, _GUIDELINE)
    parts = (*prompts, domain_guideline, image_side)
    return sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:12]


def guideline_messages(query: str, domain_guideline: str | None) -> list[Message]:
    """Return the messages that ask for the guideline of a query."""
    lines = [_DOMAIN.format(domain=quote(domain_guideline))] if domain_guideline else []
    lines.append(_QUERY.format(query=quote(query)))
    return _messages(_GUIDELINE_SYSTEM, [text_part(line) for line in lines])


def grade_messages(query: str, guideline: str, image: str) -> list[Message]:
    """Return the messages that ask for a grade; `image` is a data URI."""
    return _messages(
        _GRADE_SYSTEM,
        [
            text_part(_QUERY.format(query=quote(query))),
            text_part(_GUIDELINE.format(guideline=quote(guideline))),
            {"type": "image_url", "image_url": {"url": image}},
        ],
    )


def guideline_schema() -> dict[str, Any]:
    """Return the JSON schema of a guideline."""
    return object_schema(guideline={"type": "string"})


def grade_schema() -> dict[str, Any]:
    """Return the JSON schema of a grade with its reason."""
    return object_schema(reason={"type": "string"}, grade={"type": "integer", "enum": [0, 1, 2, 3]})


def _messages(system: str, content: Sequence[Message]) -> list[Message]:
    return [{"role": "system", "content": system}, {"role": "user", "content": list(content)}]
