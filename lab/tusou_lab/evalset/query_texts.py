"""Texts of queries as shoppers write them: short, in a sentence, with a refusal, mistyped."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tusou_lab.evalset.domain import Style
from tusou_lab.evalset.drawn_text import DrawnText, WrittenText

# Templates of texts from the words of the attributes and the word of the concept.
_SHORT = ("{attributes}{concept}", "{concept} {spaced}", "{spaced} {concept}")
_SENTENCE = (
    "有没有{attributes}的{concept}",
    "想找一{measure}{attributes}的{concept}",
    "推荐一下{attributes}的{concept}",
    "我想要{attributes}的{concept}，有图吗",
)
_BARE_SENTENCE = ("有没有好看的{concept}", "想找一{measure}{concept}", "推荐一下{concept}")
_REFUSAL = ("{text}，不要{refused}的", "{text} 不要{refused}", "{text}，除了{refused}的")
_MEASURE = "款"
# Characters that input methods confuse, by sound or by shape.
_CONFUSED = {
    "裙": "群", "鞋": "协", "袜": "妹", "裤": "库", "衫": "杉", "帽": "冒", "包": "苞",
    "色": "se", "花": "化", "棉": "绵", "长": "常", "短": "段", "红": "洪", "白": "百",
    "黑": "嘿", "蓝": "兰", "绿": "录", "黄": "皇", "灰": "恢", "的": "得", "格": "革",
}  # fmt: skip


class TemplateWriter:
    """Writes each text from a template."""

    author = "template"
    batch_size = 1
    attempts = 40

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def write(
        self,
        batch: Sequence[DrawnText],
        left_out: Counter[str],  # noqa: ARG002 - a template fails nowhere
    ) -> Iterator[Iterator[WrittenText]]:
        for each in batch:
            text = write_text(
                self._draw, each.style, each.concept_word, each.words, each.refused_word
            )
            yield iter([WrittenText(text)])


def write_text(
    draw: random.Random,
    style: Style,
    concept: str,
    attributes: Sequence[str],
    refused: str | None = None,
) -> str:
    """Return a text for a concept with the words of its attributes, in one of the styles.

    `refused` is the word of a refusal, which that style needs.
    """
    return _WRITERS[style](draw, concept, attributes, refused)


def _write_short(
    draw: random.Random, concept: str, attributes: Sequence[str], _: str | None
) -> str:
    form = draw.choice(_SHORT if attributes else ("{concept}",))
    return _fill(form, concept, attributes)


def _write_sentence(
    draw: random.Random, concept: str, attributes: Sequence[str], _: str | None
) -> str:
    return _fill(draw.choice(_SENTENCE if attributes else _BARE_SENTENCE), concept, attributes)


def _write_refusal(
    draw: random.Random, concept: str, attributes: Sequence[str], refused: str | None
) -> str:
    text = _write_short(draw, concept, attributes, None)
    return draw.choice(_REFUSAL).format(text=text, refused=refused)


def _write_typo(draw: random.Random, concept: str, attributes: Sequence[str], _: str | None) -> str:
    return mistype(draw, _write_short(draw, concept, attributes, None))


_WRITERS: dict[Style, Callable[[random.Random, str, Sequence[str], str | None], str]] = {
    "short": _write_short,
    "sentence": _write_sentence,
    "refusal": _write_refusal,
    "typo": _write_typo,
}


def mistype(draw: random.Random, text: str) -> str:
    """Return a text with one slip: a confused, doubled, dropped or exchanged character.

    A text of one character is doubled; the result always differs.
    """
    confusable = [place for place, char in enumerate(text) if char in _CONFUSED]
    if confusable and draw.random() < 0.5:
        place = draw.choice(confusable)
        return text[:place] + _CONFUSED[text[place]] + text[place + 1 :]
    place = draw.randrange(len(text))
    swappable = place + 1 < len(text) and text[place] != text[place + 1]
    if swappable and draw.random() < 0.5:
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if len(text) > 2 and draw.random() < 0.5:
        return text[:place] + text[place + 1 :]
    return text[: place + 1] + text[place:]


def _fill(form: str, concept: str, attributes: Sequence[str]) -> str:
    return form.format(
        concept=concept,
        attributes="".join(attributes),
        spaced=" ".join(attributes),
        measure=_MEASURE,
    )
