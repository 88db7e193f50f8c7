"""Random changes of queries that leave their images correct."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tusou.text.negation import parse_negation
from tusou.text.negation_lexicon import COLOUR, CUT, LOOK, STUFF
from tusou.text.segmentation import segment
from tusou_lab.train.augment.synonyms import SYNONYMS


class QueryParts(NamedTuple):
    """The parts of a query, each of one word or several that stay together, and what joins them."""

    parts: tuple[tuple[str, ...], ...]
    joint: str  # a space, or nothing

    @property
    def text(self) -> str:
        """The query."""
        return self.joint.join("".join(part) for part in self.parts)


TextPolicy = Callable[[QueryParts, np.random.Generator], QueryParts]

_SHARE = 0.5  # of the texts that a policy changes
_DROPPED = 0.3  # of the words that may be left out
# Words of shops that say nothing of the image.
_SHOP_TALK = "新款|时尚|爆款|网红|百搭|包邮|正品|热卖|特价|潮流|高级感|(?:19|20)\\d\\d"
_ATTRIBUTES = re.compile(f"(?:{COLOUR}|{LOOK}|{STUFF}|{CUT}|{_SHOP_TALK})+")
_TEMPLATES = (
    "{}的图片", "一张{}的照片", "{}商品图", "一件{}", "这是一个商品搜索：{}", "想买{}", "搜索{}",
)  # fmt: skip


def augment_text(text: str, rng: np.random.Generator, policies: Sequence[str]) -> str:
    """Apply each named policy to a text with a probability of a half.

    A text that refuses something (不带拉链的包) gets a template at most: its words mean something
    else in another order, or without one of them.
    """
    query = split_query(text)
    for name in policies:
        if rng.random() < _SHARE:
            query = TEXT_POLICIES[name](query, rng)
    return query.text


@lru_cache(maxsize=2**18)
def split_query(text: str) -> QueryParts:
    """Split a query at its spaces, or without any between words of two characters and more.

    A shorter word may belong to its neighbours (竖条纹, 高级感), and stays with them. A query that
    refuses something is one part.
    """
    if parse_negation(text) is not None:
        return QueryParts(((text,),), "")
    chunks = text.split()
    if len(chunks) > 1:
        parts = tuple(tuple(word.text for word in segment(chunk)) for chunk in chunks)
        return QueryParts(parts, " ")
    parts_so_far: list[list[str]] = []
    for word in (word.text for word in segment(text)):
        joins = parts_so_far and (len(word) < 2 or len(parts_so_far[-1][-1]) < 2)
        if joins:
            parts_so_far[-1].append(word)
        else:
            parts_so_far.append([word])
    return QueryParts(tuple(map(tuple, parts_so_far)), "")


def _reorder(query: QueryParts, rng: np.random.Generator) -> QueryParts:
    """Put the parts before the last, which names the product, in another order.

    A query with 的 stays as it is: what stands before it may belong to what follows.
    """
    parts = query.parts
    if len(parts) < 3 or any("的" in word for part in parts for word in part):
        return query
    order = rng.permutation(len(parts) - 1).tolist()
    return query._replace(parts=(*(parts[number] for number in order), parts[-1]))


def _replace(query: QueryParts, rng: np.random.Generator) -> QueryParts:
    """Replace words that have synonyms, each with a probability of a half."""
    parts = []
    for part in query.parts:
        whole = "".join(part)
        words = (whole,) if whole in SYNONYMS else part
        parts.append(tuple(_choose_synonym(word, words, rng) for word in words))
    return query._replace(parts=tuple(parts))


def _choose_synonym(word: str, words: Sequence[str], rng: np.random.Generator) -> str:
    # A single character beside others may be half of a longer word.
    others = SYNONYMS.get(word, ()) if len(word) > 1 or len(words) == 1 else ()
    if not others or rng.random() >= _SHARE:
        return word
    return others[int(rng.integers(len(others)))]


def _drop(query: QueryParts, rng: np.random.Generator) -> QueryParts:
    """Leave out some of the parts that only describe the product; at least one part stays."""
    draws = rng.random(len(query.parts))
    parts = tuple(
        part
        for part, draw in zip(query.parts, draws.tolist(), strict=True)
        if draw >= _DROPPED or not _ATTRIBUTES.fullmatch("".join(part))
    )
    return query._replace(parts=parts) if parts else query


def _fill_template(query: QueryParts, rng: np.random.Generator) -> QueryParts:
    template = _TEMPLATES[int(rng.integers(len(_TEMPLATES)))]
    return QueryParts(((template.replace("{}", query.text),),), "")


# In the order in which they are applied.
TEXT_POLICIES: dict[str, TextPolicy] = {
    "order": _reorder,
    "synonyms": _replace,
    "drop": _drop,
    "templates": _fill_template,
}
