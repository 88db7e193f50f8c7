"""Texts that are to be written: their terms, drawn at random, and the protocol of their writers."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tusou_lab.evalset.domain import Domain, Style, Term
from tusou_lab.evalset.terms import TermItems, join_filters

_ATTRIBUTE_COUNTS = (0.15, 0.45, 0.3, 0.1)  # shares of texts that name 0, 1, 2 and 3 attributes


@dataclass(frozen=True, slots=True)
class DrawnText:
    """The terms that a text asks for, each with the word that was drawn for it, and its style."""

    style: Style
    concept: Term
    concept_word: str
    stated: tuple[Term, ...]
    words: tuple[str, ...]  # of the stated terms
    refused: Term | None
    refused_word: str | None

    @property
    def wanted(self) -> dict[str, Any] | None:
        """The filter of everything that it says; None if attributes do not decide it."""
        return join_filters(self.concept, self.stated, self.refused)


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text for the terms that were drawn, and whether it names them all."""

    text: str
    names_terms: bool = True


class TextWriter(Protocol):
    """Writes texts; the author of each is its name."""

    author: str
    batch_size: int  # texts to write together
    attempts: int  # texts to draw for each that is needed, at most

    def write(
        self, batch: Sequence[DrawnText], left_out: Counter[str]
    ) -> Iterator[Iterator[WrittenText]]:
        """Yield the alternatives for each text, none of them twice; count what is not usable."""
        ...


class TextDrawer:
    """Draws what texts ask for, in the shares of the domain's styles."""

    def __init__(self, domain: Domain, items: TermItems, draw: random.Random) -> None:
        self._domain, self._items, self._draw = domain, items, draw
        refusable = [attribute for attribute in domain.attributes if attribute.refusable]
        self._refusable = [term for attribute in refusable for term in attribute.values]

    def draw(self, left_out: Counter[str]) -> DrawnText | None:
        """Return what the next text asks for; None, counted, if no item would be right."""
        (style,) = self._draw.choices(list(self._domain.styles), list(self._domain.styles.values()))
        concept = self._draw.choice(self._domain.concepts)
        refused = self._draw_refused(concept) if style == "refusal" else None
        if style == "refusal" and refused is None:
            left_out["nothing to refuse"] += 1
            return None
        stated = self._draw_stated(refused)
        if not self._items.any_pass(concept, stated, refused):
            left_out["no item passes"] += 1
            return None
        words = tuple(self._draw.choice(term.all_words) for term in stated)
        refused_word = self._draw.choice(refused.all_words) if refused else None
        concept_word = self._draw.choice(concept.all_words)
        return DrawnText(style, concept, concept_word, stated, words, refused, refused_word)

    def _draw_refused(self, concept: Term) -> Term | None:
        """Draw a value that an item of the concept has; None if there is none to refuse."""
        for term in self._draw.sample(self._refusable, len(self._refusable)):
            if self._items.any_pass(concept, [term], None):
                return term
        return None

    def _draw_stated(self, refused: Term | None) -> tuple[Term, ...]:
        """Draw values of different attributes, none of them of the attribute that is refused."""
        free = [each for each in self._domain.attributes if refused not in each.values]
        (count,) = self._draw.choices(range(len(_ATTRIBUTE_COUNTS)), _ATTRIBUTE_COUNTS)
        drawn = self._draw.sample(free, min(count, len(free)))
        return tuple(self._draw.choice(attribute.values) for attribute in drawn)
