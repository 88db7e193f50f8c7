"""Finds what a Chinese query refuses: 不带拉链的包 asks for 包 without 拉链.

Chinese-CLIP reads 不带, 没有, 无 or 除了 as more of what follows them. With the refused part known,
its vector can be subtracted instead. Only certain negations are read as such. Fixed words (无线,
非洲, 别墅, 有没有) stay, and so do words after 无 or 非 whose end is not certain. 无袖 is read as
without 袖, which finds more sleeveless products than the word itself (benchmarks/negation.py).
"""

import re
from dataclasses import dataclass

from tusou.text.negation_lexicon import BESIDES_FIXED, COLOUR, CUT, FIXED, LOOK, PIECE, STUFF

# The share of a refused text's vector that is subtracted; measured by benchmarks/negation.py.
REFUSED_WEIGHT = 0.35


@dataclass(frozen=True, slots=True)
class UnderstoodQuery:
    """A query split into what it asks for and what it refuses."""

    positive: str
    refused: tuple[str, ...]


_SIGNS = (
    "不带|不要|不想要|不喜欢|不需要|不含|不是|不能有|不能带|不加|没有|没带|去掉|去除|除去|别要|别带|别有|"
    "拒绝|非|无|没"
)
_EXCEPT = "除了|除开"
_NEGATION = re.compile(f"(?P<fixed>{FIXED})|(?P<sign>{_SIGNS})|(?P<but>{_EXCEPT})")
# 碎花以外的连衣裙: the refused thing precedes.
_BESIDES = re.compile(f"(?P<fixed>{BESIDES_FIXED})|(?:以外|之外)的?")
# After these signs only a known word shows where the refusal ends, or that it is one:
# 去除污渍的清洁剂 removes dirt and does not refuse it.
_AMBIGUOUS_SIGNS = ("非", "无", "没", "不加", "去除", "除去")

_HEAD = f"(?:{LOOK}|{PIECE})"
# Atomic: 粉红 is one colour. If it could also be two, n of them would be read in 2**n ways.
_MODIFIER = f"(?>{STUFF}|{CUT}|{COLOUR})"
# 红色碎花 is one refused thing; in 无袖碎花连衣裙 only 袖 is refused. A noun ends the phrase.
_PHRASE = f"(?:{_MODIFIER}*{_HEAD}|{_MODIFIER}+)"
_JOINER = "(?:和(?!服)|或者?|跟(?!鞋)|与|及|、)"
_PHRASES = f"{_PHRASE}(?:{_JOINER}{_PHRASE})*"
_KNOWN = re.compile(f"带?{_PHRASES}", re.IGNORECASE)
_KNOWN_AT_END = re.compile(f"{_PHRASES}$", re.IGNORECASE)
# 黑色除外, 除黑色外: only with known words, because 除湿外机 excludes nothing.
_EXCEPTED = re.compile(
    f"[(（]?(?P<before>{_PHRASES})的?除外[)）]?的?|除(?P<after>{_PHRASES})外(?![套衣穿])的?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(_JOINER)

_STOP = re.compile(r"[\s,，。;；!！?？]|但|都|其他|其它|别的|就行|不要|不带|不含|没有|除了")
_NOISE = re.compile(r"都可以|都行|都要|都好|就行|即可|其他的?|其它的?|别的|但是?|我?想?要(?=的|$)")
_EDGES = " ,，。;；、!！?？的"


def parse_negation(query: str) -> UnderstoodQuery | None:
    """Split a query; None when it refuses nothing, or when nothing else would be left."""
    rest, refused = _parse_exclusion(query)
    position = 0
    while match := _NEGATION.search(rest, position):
        before, after = rest[: match.start()], rest[match.end() :]
        things, after = ([], after) if match["fixed"] else _parse_refusal(match[0], before, after)
        if things:
            refused += things
            rest = f"{before.rstrip()} {after.lstrip()}"
            position = match.start()
        else:
            position = match.end()
    positive = " ".join(_NOISE.sub(" ", rest).split()).strip(_EDGES)
    if not refused or not positive:
        return None
    return UnderstoodQuery(positive, tuple(dict.fromkeys(refused)))


def _parse_exclusion(query: str) -> tuple[str, list[str]]:
    """Return the query without X以外, 除了X以外 or X除外, and each X."""
    if excepted := _EXCEPTED.search(query):
        phrase = excepted["before"] or excepted["after"]
        return f"{query[: excepted.start()]} {query[excepted.end() :]}", _split_things(phrase)
    besides = _BESIDES.search(query)
    if not besides or besides["fixed"]:
        return query, []
    before, after = query[: besides.start()], query[besides.end() :]
    sign = re.search(f"(?:{_EXCEPT}|除)(?=[^除]+$)", before)
    if sign:
        start, phrase = sign.start(), before[sign.end() :]
    else:
        known = _KNOWN_AT_END.search(before)
        start = known.start() if known else max(map(before.rfind, " ,，的")) + 1
        phrase = before[start:]
    return f"{before[:start]} {after}", _split_things(phrase)


def _parse_refusal(sign: str, before: str, after: str) -> tuple[list[str], str]:
    """Return the things refused after a negation sign, and the rest of the query."""
    stop = _STOP.search(after)
    head = after[: stop.start()] if stop else after
    phrase, particle, thing = head.partition("的")
    if particle and (sign not in _AMBIGUOUS_SIGNS or _KNOWN.fullmatch(phrase)):
        return _split_things(phrase), thing + after[len(head) :]
    known = _KNOWN.match(head)
    if known:
        return _split_things(known.group()), after[known.end() :]
    if sign in _AMBIGUOUS_SIGNS or not before.strip(_EDGES):
        return [], after
    return _split_things(head), after[len(head) :]


def _split_things(phrase: str) -> list[str]:
    """Split 红色和碎花 into 红色 and 碎花."""
    parts = (part.strip(_EDGES) for part in _BETWEEN.split(phrase))
    return [part.removeprefix("带") for part in parts if part]
