"""What is wrong with the queries of one split, each looked at by itself and beside the others."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tusou.core.errors import EmptyQuery, MissingDependency, QueryTooLong
from tusou.core.lazy_import import extras_named
from tusou.data import DatasetQuery
from tusou.encoders.tokenizer import CONTEXT, ClipTokenizer
from tusou.text.negation import parse_negation
from tusou.text.normalize import normalize_query
from tusou_lab.check.findings import Findings

_WORDS = 30
_UNKNOWN = 100  # [UNK] of the vocabulary that all Chinese-CLIP models share


@dataclass(frozen=True, slots=True)
class TextFacts:
    """Numbers of a split's queries."""

    count: int
    lengths: dict[int, int]  # characters -> queries
    words: tuple[tuple[str, int], ...]  # the most frequent words of two characters and more
    negations: int


class Reader:
    """The tokenizer and the word cutter, loaded once."""

    def __init__(self) -> None:
        self._tokenizer = ClipTokenizer()
        self._known: dict[str, bool] = {}

    def check(self, split: str, queries: Sequence[DatasetQuery], findings: Findings) -> TextFacts:
        """Add what is wrong with a split's queries to the findings, and count."""
        usable = self._unusable(split, queries, findings)
        self._meaning(split, usable, findings)
        _repeated(split, usable, findings)
        refusing = [query.text for query in usable if parse_negation(query.text)]
        findings.add(
            "note", "negations", split, refusing, "queries that refuse something, as 不带拉链 does"
        )
        lengths = Counter(len(query.text.strip()) for query in queries)
        words = frequent_words(query.text for query in queries)
        return TextFacts(len(queries), dict(sorted(lengths.items())), words, len(refusing))

    def _unusable(
        self, split: str, queries: Sequence[DatasetQuery], findings: Findings
    ) -> list[DatasetQuery]:
        usable, empty, long = [], [], []
        for query in queries:
            try:
                normalize_query(query.text)
                usable.append(query)
            except EmptyQuery:
                empty.append(f"line {query.line}: query {query.query_id}")
            except QueryTooLong:
                long.append(f"line {query.line}: query {query.query_id}")
        findings.add("error", "empty_queries", split, empty, "queries without a visible character")
        findings.add("error", "refused_queries", split, long, "queries too long for the service")
        return usable

    def _meaning(self, split: str, queries: Sequence[DatasetQuery], findings: Findings) -> None:
        """Find what the model does not see of a text: unknown characters, and the end."""
        cut = [query.text for query in queries if self._is_cut(query.text)]
        findings.add(
            "warning", "beyond_tokens", split, cut, f"queries whose end is beyond {CONTEXT} tokens"
        )
        strange: dict[str, int] = {}
        for query in queries:
            for char in {char for char in query.text if not self._knows(char)}:
                strange[char] = strange.get(char, 0) + 1
        ordered = sorted(strange, key=lambda char: (-strange[char], char))
        shown = [f"{char} (U+{ord(char):04X}) in {strange[char]}" for char in ordered]
        findings.add(
            "warning",
            "unknown_characters",
            split,
            shown,
            "characters that the model's vocabulary lacks",
        )

    def _is_cut(self, text: str) -> bool:
        return len(text) > CONTEXT // 2 - 2 and self._tokenizer.prepare([text]).truncated[0]

    def _knows(self, char: str) -> bool:
        if char not in self._known:
            ids = self._tokenizer.prepare([char]).ids
            self._known[char] = not bool(np.any(ids == _UNKNOWN))
        return self._known[char]


def plain(text: str) -> str:
    """Give what makes two queries one: case and blanks do not tell them apart."""
    return " ".join(text.lower().split())


def _repeated(split: str, queries: Iterable[DatasetQuery], findings: Findings) -> None:
    asked = Counter(plain(query.text) for query in queries)
    again = [f"{text} ({count} times)" for text, count in asked.most_common() if count > 1]
    findings.add("warning", "repeated_queries", split, again, "texts that several queries have")


def frequent_words(texts: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Count words; none where the cutter is not installed, which `tusou[lab]` brings."""
    try:
        with extras_named("lab"):
            import rjieba  # noqa: PLC0415 - an extra: without it the rest of the check still runs
    except MissingDependency:
        return ()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word in rjieba.cut(text.lower()) if len(word.strip()) > 1)
    return tuple(counts.most_common(_WORDS))
