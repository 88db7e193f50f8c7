"""Queries that refuse something, each with the fact that no good answer shows."""

from dataclasses import dataclass

import numpy as np

from lab.toy.catalogue import CATEGORIES, COLOURS, PATTERNS, Category, Product

_FORMS = (
    "不带{refused}的{noun}",
    "没有{refused}的{noun}",
    "{refused}以外的{noun}",
    "除了{refused}以外的{noun}",
    "除了{refused}的{noun}",
    "{noun} 不要{refused}",
    "{noun}不要{refused}的",
    "不要{refused}的{noun}",
    "非{refused}{noun}",
    "不是{refused}的{noun}",
    "无{refused}{noun}",
    "{noun} 去掉{refused}",
)


@dataclass(frozen=True, slots=True)
class NegatedQuery:
    """A query of the toy pool that wants a category without one value of a fact."""

    text: str
    category: Category
    fact: str
    value: str

    def wants(self, product: Product) -> bool:
        """Tell whether an item is of the category and free of what is refused."""
        return product.category == self.category and not self.refuses(product)

    def refuses(self, product: Product) -> bool:
        """Tell whether an item shows what is refused; a trait is one of its own category."""
        everywhere = self.fact in ("colour", "pattern")
        same = everywhere or product.category == self.category
        return same and product.facts.get(self.fact) == self.value


def negated_queries(seed: int = 1) -> list[NegatedQuery]:
    """Write two or three queries for every category: a colour, a pattern, a trait."""
    rng = np.random.default_rng(seed)
    queries: list[NegatedQuery] = []
    for category in CATEGORIES:
        for fact, value, word in _refusable(category, rng):
            form = _FORMS[len(queries) % len(_FORMS)]
            text = form.format(refused=word, noun=category.words[0])
            queries.append(NegatedQuery(text, category, fact, value))
    return queries


def _refusable(category: Category, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Choose a colour, a pattern and a trait's value to refuse, with its commonest word."""
    colour = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    chosen = [("colour", colour, COLOURS[colour].words[0])]
    if category.patterned:
        pattern = [name for name in PATTERNS if name != "plain"][int(rng.integers(5))]
        chosen.append(("pattern", pattern, PATTERNS[pattern][0]))
    for trait, options in list(category.traits.items())[:1]:
        value = list(options)[int(rng.integers(len(options)))]
        # A word that is itself a negation, as 无盖, is a fact of its own and not refused here.
        if not options[value][0].startswith("无"):
            chosen.append((trait, value, options[value][0]))
    return chosen
