"""Questions about drawn products, and the answers that the toy judge learns to give."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tusou_lab.evalset.domain import Domain, Style, Term
from tusou_lab.evalset.query_texts import write_text
from tusou_lab.toy.queries import is_reserved

from benchmarks.toy_judge.world import ToyItem

GUIDELINE = "品类和提到的每一项都符合的是 3 级；品类对，但有一项不符的是 1 级；品类不对的是 0 级。"
GUIDELINE_ANSWER = f'{{"guideline": "{GUIDELINE}"}}'
SHOWN, STOP, GRADE, END = '{"reason": "图中是', "。", '", "grade": ', "}"
FITS, DIFFERS, REFUSED = "符合。", "不符。", "不要"

_STYLES: dict[Style, float] = {"short": 0.5, "sentence": 0.22, "refusal": 0.16, "typo": 0.12}
_STATED = (0.15, 0.45, 0.3, 0.1)  # shares of texts that name 0, 1, 2 and 3 attributes
_SAME_CATEGORY, _OWN_VALUE = 0.72, 0.72  # shares of texts about what the image shows
_OWN_REFUSED = 0.5


@dataclass(frozen=True, slots=True)
class Example:
    """A query, and the answer about an image in parts, each of which is a token."""

    query: str
    shown: tuple[str, ...]  # what the image shows
    checked: tuple[str, ...]  # each word of the query with its verdict
    grade: int

    @property
    def answer(self) -> str:
        """The answer as a server sends it."""
        return "".join((SHOWN, *self.shown, STOP, *self.checked, GRADE, str(self.grade), END))


class ExampleWriter:
    """Draws queries that an image answers entirely, in part or not at all."""

    def __init__(self, domain: Domain, draw: random.Random) -> None:
        self._domain, self._draw = domain, draw

    @cached_property
    def _concepts(self) -> dict[str, Term]:
        return {term.name: term for term in self._domain.concepts}

    def write(self, item: ToyItem) -> Example:
        """Return a question about the image, in a wording that is not reserved for tests."""
        while True:
            example = self._write(item)
            if is_reserved(example.query, "train"):
                return example

    def _write(self, item: ToyItem) -> Example:
        draw = self._draw
        (style,) = draw.choices(list(_STYLES), list(_STYLES.values()))
        concept = self._draw_concept(item)
        attributes = list(self._domain.attributes)
        refused = None
        if style == "refusal":
            refused_from = draw.choice(attributes)
            refused = self._draw_value(refused_from.values, item, _OWN_REFUSED)
            attributes.remove(refused_from)
        (count,) = draw.choices(range(len(_STATED)), _STATED)
        chosen = set(draw.sample(range(len(attributes)), min(count, len(attributes))))
        stated = [
            self._draw_value(each.values, item, _OWN_VALUE)
            for place, each in enumerate(attributes)
            if place in chosen
        ]
        said = draw.sample(stated, len(stated))
        text = write_text(
            draw,
            style,
            draw.choice(concept.all_words),
            [draw.choice(term.all_words) for term in said],
            draw.choice(refused.all_words) if refused else None,
        )
        return _judge(text, item, concept, stated, refused)

    def _draw_concept(self, item: ToyItem) -> Term:
        own = self._concepts[item.category]
        if self._draw.random() < _SAME_CATEGORY:
            return own
        return self._draw.choice(self._domain.concepts)

    def _draw_value(self, values: Sequence[Term], item: ToyItem, own_share: float) -> Term:
        own = [term for term in values if term.name in item.tags]
        if own and self._draw.random() < own_share:
            return self._draw.choice(own)
        return self._draw.choice(values)


def _judge(
    text: str, item: ToyItem, concept: Term, stated: Sequence[Term], refused: Term | None
) -> Example:
    """Return the example with the grade that `--judge attributes` would give."""
    fits = [(concept.name, concept.name == item.category)]
    fits += [(term.name, term.name in item.tags) for term in stated]
    checked = [part for name, right in fits for part in (name, FITS if right else DIFFERS)]
    right = all(right for _, right in fits)
    if refused is not None:
        absent = refused.name not in item.tags
        checked += [REFUSED, refused.name, FITS if absent else DIFFERS]
        right = right and absent
    grade = 3 if right else int(fits[0][1])
    return Example(text, (*item.tags, item.category), tuple(checked), grade)
