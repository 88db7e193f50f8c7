"""Finds what a Chinese query refuses: 不带拉链的包 wants 包, without 拉链.

Chinese-CLIP reads 不带, 没有, 无 or 除了 as more of what follows them. Understood here, the refused
part can be subtracted instead. Whatever is not surely a negation is left as it is: fixed words
(无线, 非洲, 别墅, 有没有), and words after 无 or 非 whose end cannot be told. 无袖 is understood as
without 袖: measured, that finds more sleeveless things than the word itself.
"""

import re
from dataclasses import dataclass

from tusou.text.negation_lexicon import BESIDES_FIXED, COLOUR, CUT, FIXED, LOOK, PIECE, STUFF

# How much of a refused text's vector is subtracted; measured by benchmarks/negation.py.
REFUSED_WEIGHT = 0.35


@dataclass(frozen=True, slots=True)
class UnderstoodQuery:
    """A query taken apart: what it wants, and the things it refuses."""

    positive: str
    refused: tuple[str, ...]


_SIGNS = (
    "不带|不要|不想要|不喜欢|不需要|不含|不是|不能有|不能带|不加|没有|没带|去掉|去除|除去|别要|别带|别有|"
    "拒绝|非|无|没"
)
_EXCEPT = "除了|除开"
_FOUND = re.compile(f"(?P<fixed>{FIXED})|(?P<sign>{_SIGNS})|(?P<but>{_EXCEPT})")
# 碎花以外的连衣裙: what is refused stands before.
_BESIDES = re.compile(f"(?P<fixed>{BESIDES_FIXED})|(?:以外|之外)的?")
# After these nothing but a word that is known tells where the refusal ends, or that it is one:
# 去除污渍的清洁剂 refuses no dirt.
_SHORT = ("非", "无", "没", "不加", "去除", "除去")

_HEAD = f"(?:{LOOK}|{PIECE})"
# Atomic: 粉红 is one colour and not two, or a pile of it could be read in 2**n ways.
_MODIFIER = f"(?>{STUFF}|{CUT}|{COLOUR})"
# In 红色碎花 one thing is refused, in 无袖碎花连衣裙 it is the sleeves: a noun ends the phrase.
_PHRASE = f"(?:{_MODIFIER}*{_HEAD}|{_MODIFIER}+)"
_JOINER = "(?:和(?!服)|或者?|跟(?!鞋)|与|及|、)"
_PHRASES = f"{_PHRASE}(?:{_JOINER}{_PHRASE})*"
_KNOWN = re.compile(f"带?{_PHRASES}", re.IGNORECASE)
_KNOWN_AT_END = re.compile(f"{_PHRASES}$", re.IGNORECASE)
# 黑色除外, 除黑色外: only of words that are known, for a 除湿外机 excepts nothing.
_EXCEPTED = re.compile(
    f"[(（]?(?P<before>{_PHRASES})的?除外[)）]?的?|除(?P<after>{_PHRASES})外(?![套衣穿])的?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(_JOINER)

_STOP = re.compile(r"[\s,，。;；!！?？]|但|都|其他|其它|别的|就行|不要|不带|不含|没有|除了")
_NOISE = re.compile(r"都可以|都行|都要|都好|就行|即可|其他的?|其它的?|别的|但是?|我?想?要(?=的|$)")
_EDGES = " ,，。;；、!！?？的"


def parse_negation(query: str) -> UnderstoodQuery | None:
    """Take a query apart; None when it refuses nothing, or nothing would be left to look for."""
    rest, refused = _besides(query)
    place = 0
    while found := _FOUND.search(rest, place):
        end = found.end()
        if found["fixed"]:
            place = end
            continue
        said, after = _refusal(found.group(), rest[: found.start()], rest[end:])
        if not said:
            place = end
            continue
        refused += said
        rest = f"{rest[: found.start()].rstrip()} {after.lstrip()}"
        place = found.start()
    positive = " ".join(_NOISE.sub(" ", rest).split()).strip(_EDGES)
    return (
        UnderstoodQuery(positive, tuple(dict.fromkeys(refused))) if refused and positive else None
    )


def _besides(query: str) -> tuple[str, list[str]]:
    """Take out X以外, 除了X以外 and X除外."""
    if excepted := _EXCEPTED.search(query):
        named = excepted["before"] or excepted["after"]
        return f"{query[: excepted.start()]} {query[excepted.end() :]}", _each(named)
    found = _BESIDES.search(query)
    if not found or found["fixed"]:
        return query, []
    before, after = query[: found.start()], query[found.end() :]
    but = re.search(f"(?:{_EXCEPT}|除)(?=[^除]+$)", before)
    if but:
        start, named = but.start(), before[but.end() :]
    else:
        known = _KNOWN_AT_END.search(before)
        start = known.start() if known else max(map(before.rfind, " ,，的")) + 1
        named = before[start:]
    return f"{before[:start]} {after}", _each(named)


def _refusal(sign: str, before: str, after: str) -> tuple[list[str], str]:
    """Tell what is refused after a sign, and what the query goes on with."""
    stop = _STOP.search(after)
    head = after[: stop.start()] if stop else after
    named, of, thing = head.partition("的")
    if of and (sign not in _SHORT or _KNOWN.fullmatch(named)):
        return _each(named), thing + after[len(head) :]
    known = _KNOWN.match(head)
    if known:
        return _each(known.group()), after[known.end() :]
    if sign in _SHORT or not before.strip(_EDGES):
        return [], after
    return _each(head), after[len(head) :]


def _each(named: str) -> list[str]:
    """Split 红色和碎花 into both."""
    parts = (part.strip(_EDGES) for part in _BETWEEN.split(named))
    return [part.removeprefix("带") for part in parts if part]
