"""Finds the stretches of a query that refuse things, by marker and grammar."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tusou.text.negation_lexicon import BARE_COLOURS, MEDIA, SUPPLIES, TOOLS
from tusou.text.refusal_markers import (
    AMBIGUOUS_SIGNS,
    CONTRAST,
    EDGES,
    LACKING_SIGNS,
    LEADING_WORDS,
    MARKER,
    NEEDLESS_SIGNS,
    OUTSIDE,
    REMOVING_SIGNS,
    SEPARATORS,
    STOP,
    STOP_WORD,
    TRAILING_SIGNS,
    WISHING_SIGNS,
)
from tusou.text.refused_things import (
    are_things,
    is_known,
    known_prefix,
    known_suffix,
    split_things,
    without_verb,
)
from tusou.text.segmentation import Word, joined, segment


@dataclass(frozen=True, slots=True)
class Refusal:
    """The stretch `query[start:end]` of a query, and the things that it refuses."""

    start: int
    end: int
    things: list[str]


_QUOTED = re.compile('《[^》]*》?|“[^”]*”?|「[^」]*」?|『[^』]*』?|【[^】]*】?|"[^"]*"?')
_MEDIA = re.compile(MEDIA)
_SUPPLY = re.compile(SUPPLIES)
_TOOL = re.compile(TOOLS)


def find_refusals(query: str) -> Iterator[Refusal]:
    """Yield the refusals in order; a marker within a word or a quotation is passed over."""
    words = segment(query)
    starts = {word.start for word in words}
    quoted = [match.span() for match in _QUOTED.finditer(query)]
    done = scan = 0
    while match := MARKER.search(query, scan):
        scan = match.end()
        if match.lastgroup == "fixed" or match.start() not in starts:
            continue
        if any(start <= match.start() < end for start, end in quoted):
            continue
        ends = {word.end - match.end() for word in words}
        if refusal := _read(query, done, match, ends):
            yield refusal
            done = scan = refusal.end


def _read(query: str, done: int, match: re.Match[str], ends: Collection[int]) -> Refusal | None:
    """Return the refusal that a marker makes.

    `done`: where the last refusal ended. `ends`: where the query's words end, counted from the
    marker's end.
    """
    before, after = query[done : match.start()], query[match.end() :]
    if match.lastgroup in ("besides", "excepted"):
        certain = match[0] in ("以外的", "之外的") and not _is_title(after)
        return _refuse_before(match, _read_preceding(before, certain=certain))
    if match.lastgroup == "but" and (outside := OUTSIDE.search(after)):
        around = before + after[outside.end() :]
        phrase = segment(after[: outside.start()].removesuffix("的"))
        if _is_refusable(phrase, certain=match[0] != "除" and bool(around.strip(EDGES))):
            return Refusal(match.start(), match.end() + outside.end(), split_things(phrase))
        return None
    if match[0] in TRAILING_SIGNS and (clause := _read_trailing(before, after)):
        return _refuse_before(match, clause)
    following = _read_following(match[0], query[: match.start()], after, ends)
    if not following:
        return None
    length, phrase = following
    if lead := CONTRAST.match(after, length):
        length = lead.end()
    return Refusal(match.start(), match.end() + length, split_things(phrase))


def _read_following(
    sign: str, before: str, after: str, ends: Collection[int]
) -> tuple[int, list[Word]] | None:
    """Return how much of what follows a sign is refused, particle included, and the phrase."""
    clause, is_spaced = _clause(segment(after))
    if not clause:
        return None
    start = clause[0].start
    particle = next((n for n, word in enumerate(clause) if word.text == "的"), None)
    rest = after[clause[-1 if particle is None else particle].end :]
    if _is_title(rest) or (sign in REMOVING_SIGNS and _TOOL.search(rest or after)):
        return None
    is_act = sign in NEEDLESS_SIGNS and not _SUPPLY.fullmatch(joined(clause[:particle]))
    certain = not (is_spaced or is_act or sign in AMBIGUOUS_SIGNS)
    has_context = bool(before.strip(EDGES)) or CONTRAST.match(rest) is not None
    if particle:
        phrase = clause[:particle]
        has_noun = has_context or bool(rest.strip(EDGES))
        if _is_refusable(phrase, certain=certain and has_noun, qualities=sign in WISHING_SIGNS):
            return clause[particle].end, phrase
    known = known_prefix(clause, {end - start for end in ends})
    is_noun = particle is None and sign != "不是" and has_context
    is_whole = not known or _is_compound(after[start + known : clause[-1].end])
    if certain and is_noun and is_whole and are_things(clause):
        return clause[-1].end, clause
    if not known or (sign in LACKING_SIGNS and after[start : start + known] in BARE_COLOURS):
        return None
    return start + known, segment(after[start : start + known])


def _clause(words: Sequence[Word]) -> tuple[list[Word], bool]:
    """Return the words that a sign governs, and whether a space precedes them."""
    first = 0
    while first < len(words) - 1 and words[first].text in LEADING_WORDS:
        first += 1
    is_spaced = first < len(words) and words[first].text.isspace()
    while first < len(words) and words[first].text.isspace():
        first += 1
    clause: list[Word] = []
    for word in words[first:]:
        if STOP_WORD.fullmatch(word.text) or STOP.match(word.text):
            break
        clause.append(word)
    return clause, is_spaced


def _read_trailing(before: str, after: str) -> str:
    """Return what a sign at the end of a clause refuses: 碎花的 in 连衣裙碎花的不要."""
    if after and after[0] not in SEPARATORS:
        return ""
    clause = _last_clause(before)
    bare = clause.removesuffix("的")
    particle = clause[len(bare) :]
    words = segment(bare)
    if len(clause) < len(before) and (particle or is_known(without_verb(bare))):
        return clause if are_things(words, qualities=bool(particle)) else ""
    known = known_suffix(words)
    return bare[-known:] + particle if known else ""


def _read_preceding(before: str, *, certain: bool) -> str:
    """Return what 以外 or 除外 refuses, at the end of what precedes; a bracket belongs to it."""
    bare = before.removesuffix("的")
    particle = before[len(bare) :]
    if known := known_suffix(segment(bare)):
        bracket = before[-known - len(particle) - 1 :][0] if len(bare) > known else ""
        return (bracket if bracket in ("(", "（") else "") + bare[-known:] + particle
    clause = _last_clause(bare, "的")
    words = segment(clause)
    return clause + particle if certain and len(words) == 1 and are_things(words) else ""


def _refuse_before(match: re.Match[str], phrase: str) -> Refusal | None:
    if not phrase:
        return None
    things = split_things(segment(phrase.lstrip("(（").removesuffix("的")))
    return Refusal(match.start() - len(phrase), match.end(), things)


def _last_clause(text: str, further_separators: str = "") -> str:
    return text[max(map(text.rfind, SEPARATORS + further_separators)) + 1 :]


def _is_refusable(phrase: Sequence[Word], *, certain: bool, qualities: bool = True) -> bool:
    """Return whether a phrase is known, or names things where the grammar is certain."""
    if phrase and known_prefix(phrase) == len(joined(phrase)):
        return True
    return certain and are_things(phrase, qualities=qualities)


def _is_compound(rest: str) -> bool:
    """Return whether one character ends a compound that a known thing begins: 头 in 海绵头."""
    return len(rest) == 1 and rest not in "男女童"


def _is_title(rest: str) -> bool:
    """Return whether what follows a refusal says that it is part of a title or a sign."""
    return any(_MEDIA.fullmatch(word.text) for word in segment(rest))
