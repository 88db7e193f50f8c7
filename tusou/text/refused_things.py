"""Recognises the things that a query refuses: a known look, part or material, or a plain noun."""

import re
from collections.abc import Collection, Iterator, Sequence

from tusou.text.negation_lexicon import (
    COLOUR,
    CUT,
    KIND,
    LOOK,
    NO_THINGS,
    NO_THINGS_WITHIN,
    PIECE,
    STUFF,
)
from tusou.text.segmentation import Word, is_word, joined

_HEAD = f"(?:{LOOK}|{PIECE})"
# Atomic: 粉红 is one colour. If it could also be two, n of them would be read in 2**n ways.
_MODIFIER = f"(?>{STUFF}|{CUT}|{COLOUR})"
# 红色碎花 is one refused thing; in 无袖碎花连衣裙 only 袖 is refused. A noun ends the phrase.
_KNOWN = re.compile(f"(?:{_MODIFIER}*{_HEAD}|{_MODIFIER}+)(?:{KIND})?", re.IGNORECASE)
_LONGEST_KNOWN = 16  # characters

_NO_THING = re.compile(NO_THINGS)
_NO_THING_WITHIN = re.compile(NO_THINGS_WITHIN)
_LONGEST_THING = 8
_MOST_WORDS = 4
_JOINERS = frozenset(("和", "或", "或者", "或是", "跟", "与", "及", "以及", "还有", "、"))
# Parts of speech of nouns, of words that modify nouns, and of letters; and those of qualities.
_NOMINAL = re.compile("n|b|z|eng|vn|j|l|i|m|g|s|an|f|k")
_QUALITY = re.compile("ad?|zg")
# 带孔 is `with holes`, but 带鱼 is a fish and 有线 `wired`.
_WITH = re.compile("^(?:带有|带着|带(?![鱼子状动教领货])|有(?![线色机氧声害限效]))(?=.)")


def is_known(text: str) -> bool:
    """Return whether a text is a look, a part, a material or a cut that the lexicon has."""
    return _KNOWN.fullmatch(text) is not None


def known_prefix(words: Sequence[Word], further_ends: Collection[int] = ()) -> int:
    """Return the length of the longest known things that the words begin with: 红色和碎花.

    It ends where a word does. `further_ends`: where words end in the segmentation of a longer text.
    """
    text = joined(words)
    longest = min(len(text), _LONGEST_KNOWN)
    ends = [end for end in {*_ends(words), *further_ends} if 0 < end <= longest]
    length = max((end for end in ends if _KNOWN.fullmatch(text, 0, end)), default=0)
    rest = [word for word in words if word.start - words[0].start >= length]
    if length and len(rest) > 1 and rest[0].text in _JOINERS:
        further = known_prefix(rest[1:])
        return length + len(rest[0].text) + further if further else length
    return length


def known_suffix(words: Sequence[Word]) -> int:
    """Return the length of the longest known things that the words end with."""
    text = joined(words)
    lengths = [words[-1].end - word.start for word in words]
    known = (length for length in lengths if length <= _LONGEST_KNOWN and is_known(text[-length:]))
    length = max(known, default=0)
    rest = [word for word in words if word.end <= words[-1].end - length]
    if length and len(rest) > 1 and rest[-1].text in _JOINERS:
        further = known_suffix(rest[:-1])
        return length + len(rest[-1].text) + further if further else length
    return length


def split_things(words: Sequence[Word]) -> list[str]:
    """Split 红色和碎花 into 红色 and 碎花."""
    whole = without_verb(joined(words))
    if is_known(whole):  # 跟 joins, but 高跟 is one thing
        return [whole]
    parts = (joined(part).strip(" 的") for part in _split(words))
    return [without_verb(part) for part in parts if part]


def without_verb(thing: str) -> str:
    """Return 帽子 for 带帽子."""
    return _WITH.sub("", thing)


def are_things(words: Sequence[Word], *, qualities: bool = False) -> bool:
    """Return whether words name things that can be seen in a product, not an act or a person.

    `qualities`: also accept a quality (甜 in 甜的), which 的 must follow.
    """
    return all(_is_thing(part, qualities=qualities) for part in _split(words))


def _is_thing(words: Sequence[Word], *, qualities: bool) -> bool:
    text = without_verb(joined(words))
    if is_known(text):
        return True
    if not text or len(text) > _LONGEST_THING or len(words) > _MOST_WORDS:
        return False
    if _NO_THING.fullmatch(text) or any(_NO_THING_WITHIN.fullmatch(word.text) for word in words):
        return False
    if words[-1].tag == "vn" and not is_known(words[-1].text):
        return False  # an act: 冲洗; but 辅助 in 辅助轮 is not
    return all(_is_nominal(word, qualities=qualities) for word in words)


def _is_nominal(word: Word, *, qualities: bool) -> bool:
    if is_known(word.text) or word.text in ("带", "有"):
        return True
    if any(char.isdigit() for char in word.text):
        return False  # a price or a size
    return bool(_NOMINAL.match(word.tag) or (qualities and _QUALITY.fullmatch(word.tag)))


def _ends(words: Sequence[Word]) -> Iterator[int]:
    """Yield where words end, and where the first of two words in a compound (真皮沙发) does."""
    for word in words:
        offset = word.start - words[0].start
        for inner in range(2, len(word.text) - 1):
            if is_word(word.text[:inner]) and is_word(word.text[inner:]):
                yield offset + inner
        yield offset + len(word.text)


def _split(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the words between joiners."""
    part: list[Word] = []
    for word in words:
        if word.text in _JOINERS:
            yield part
            part = []
        else:
            part.append(word)
    yield part
