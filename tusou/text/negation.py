"""Finds what a Chinese query refuses: 不带拉链的包 asks for 包 without 拉链.

Chinese-CLIP reads 不带, 没有, 无 or 除了 as more of what follows them. With the refused part known,
its vector can be subtracted instead. Anything that is not clearly a refusal of something visible
stays whole: fixed words (无线, 非洲, 有没有), actions (不要组装), quotations, titles and chat. A
part begins and ends where a word does. 无袖 is read as without 袖, which finds more sleeveless
products than the word itself (benchmarks/negation.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tusou.text.negation_lexicon import CHAT, NO_PRODUCTS, PRONOUNS
from tusou.text.refusal_markers import EDGES, has_marker
from tusou.text.refusals import find_refusals
from tusou.text.segmentation import segment

# The share of a refused text's vector that is subtracted; measured by benchmarks/negation.py.
REFUSED_WEIGHT = 0.35


@dataclass(frozen=True, slots=True)
class UnderstoodQuery:
    """A query split into what it asks for and what it refuses."""

    positive: str
    refused: tuple[str, ...]


_CHAT = re.compile(CHAT)
_PRONOUN = re.compile(PRONOUNS)
_NO_PRODUCT = re.compile(NO_PRODUCTS)
_OPENER = re.compile("^(?:请|麻烦|帮|给|求|想)*我(?:想|要|需|找)")
_NOISE = re.compile(
    "都可以|都行|都要|都好|就行|即可|其他的?|其它的?|别的|但是?|而且|只要|我?想?要(?=的|$)"
)
# 要 in 要纯棉的不要化纤 precedes at most this many words.
_MOST_WISHED = 3


def parse_negation(query: str) -> UnderstoodQuery | None:
    """Split a query; None when it refuses nothing, or when no product would be left.

    A query without a marker is not segmented: it costs one search by a regular expression.
    """
    if not has_marker(query) or _CHAT.search(query):
        return None
    wishes, things, position = [], [], 0
    for refusal in find_refusals(query):
        wishes.append(_without_wish(query[position : refusal.start]))
        things += refusal.things
        position = refusal.end
    positive = " ".join(_NOISE.sub(" ", " ".join([*wishes, query[position:]])).split()).strip(EDGES)
    if not things or not positive or not _is_product(positive):
        return None
    return UnderstoodQuery(positive, tuple(dict.fromkeys(things)))


def _without_wish(before: str) -> str:
    """Return 纯棉的 for 要纯棉的, which a refusal follows, and nothing for 我 (不喜欢)."""
    if before.strip(EDGES) == "我":
        return ""
    words = segment(before)
    for n, word in enumerate(words[:-1]):
        follows_subject = n > 0 and words[n - 1].text in ("我", "想")
        is_near = len(words) - n - 1 <= _MOST_WISHED
        if word.text in ("要", "只要", "就要") and is_near and not follows_subject:
            return before[: word.start] + before[word.end :]
    return before


def _is_product(positive: str) -> bool:
    """Return whether what is left can be a product, not a conversation or a saying."""
    texts: Sequence[str] = [word.text for word in segment(_OPENER.sub("", positive))]
    if not texts or _NO_PRODUCT.fullmatch(texts[-1]) or texts[0] in ("也", "就", "又"):
        return False
    return not any(map(_PRONOUN.fullmatch, texts))
