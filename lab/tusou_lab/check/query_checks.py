"""Checks of a split's queries: unusable, cut off, unknown to the model, repeated or negated."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tusou.core.errors import EmptyQuery, QueryTooLong
from tusou.core.hits import UNKNOWN_LANGUAGE
from tusou.data import DatasetQuery
from tusou.encoders.base import CONTEXT
from tusou.text.foreign import foreign_share
from tusou.text.negation import parse_negation
from tusou.text.normalize import normalize_query
from tusou.text.script import is_without_chinese
from tusou.text.segmentation import segment
from tusou_lab.check.findings import Findings, Severity

if TYPE_CHECKING:
    from tusou.encoders.tokenizer import ClipTokenizer

_MAX_WORDS = 30
_MANY = 0.05  # of the queries: more than a log of Chinese queries has
_UNKNOWN_ID = 100  # [UNK] in the vocabulary that all Chinese-CLIP models share


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """Counts over a split's queries."""

    count: int
    lengths: dict[int, int]  # characters -> queries
    words: tuple[tuple[str, int], ...]  # the most frequent words of two or more characters
    negations: int


def check_queries(
    split: str,
    queries: Sequence[DatasetQuery],
    tokenizer: "ClipTokenizer | None",
    findings: Findings,
) -> QueryFacts:
    """Add findings about a split's queries and return their counts.

    Without a tokenizer, a note names the checks that were left out.
    """
    usable = _check_usable(split, queries, findings)
    if tokenizer:
        _check_lengths(split, usable, tokenizer, findings)
        _check_characters(split, usable, tokenizer, findings)
    else:
        message = "cn_clip is not installed: tokens and unknown characters were not checked"
        findings.add("note", "no_tokenizer", split, ["install tusou[cpu]"], message)
    _check_language(split, usable, findings)
    texts = Counter(normalize_for_comparison(query.text) for query in usable)
    repeated = [f"{text} ({count} times)" for text, count in texts.most_common() if count > 1]
    findings.add("warning", "repeated_queries", split, repeated, "texts that several queries have")
    negated = [query.text for query in usable if parse_negation(query.text)]
    findings.add(
        "note", "negations", split, negated, "queries that refuse something, as 不带拉链 does"
    )
    lengths = Counter(len(query.text.strip()) for query in queries)
    words = count_words(query.text for query in queries)
    return QueryFacts(len(queries), dict(sorted(lengths.items())), words, len(negated))


def _check_language(split: str, queries: Sequence[DatasetQuery], findings: Findings) -> None:
    latin = [query.text for query in queries if is_without_chinese(query.text)]
    if 2 * len(latin) > len(queries):
        message = "queries without a Chinese character, though cn_clip's models read Chinese"
        findings.add("warning", "without_chinese", split, latin, message)
        return
    unknown = [query.text for query in queries if foreign_share(query.text) >= UNKNOWN_LANGUAGE]
    severity: Severity = "warning" if len(unknown) >= _MANY * len(queries) else "note"
    message = "queries in a language that cn_clip's models do not know"
    findings.add(severity, "unknown_language", split, unknown, message)


def _check_usable(
    split: str, queries: Sequence[DatasetQuery], findings: Findings
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


def _check_lengths(
    split: str, queries: Sequence[DatasetQuery], tokenizer: "ClipTokenizer", findings: Findings
) -> None:
    # Shorter texts always fit and need not be tokenized.
    long = [query.text for query in queries if len(query.text) > CONTEXT // 2 - 2]
    cut = [text for text in long if tokenizer.prepare([text]).truncated[0]]
    findings.add(
        "warning", "beyond_tokens", split, cut, f"queries whose end is beyond {CONTEXT} tokens"
    )


def _check_characters(
    split: str, queries: Sequence[DatasetQuery], tokenizer: "ClipTokenizer", findings: Findings
) -> None:
    counts = Counter(char for query in queries for char in set(query.text))
    ids = tokenizer.prepare(list(counts)).ids
    known = (ids != _UNKNOWN_ID).all(axis=1)
    unknown = [char for char, is_known in zip(counts, known, strict=True) if not is_known]
    unknown.sort(key=lambda char: (-counts[char], char))
    examples = [f"{char} (U+{ord(char):04X}) in {counts[char]}" for char in unknown]
    message = "characters that the model's vocabulary lacks"
    findings.add("warning", "unknown_characters", split, examples, message)


def normalize_for_comparison(text: str) -> str:
    """Return a text in lower case with single blanks, so that equal queries are equal strings."""
    return " ".join(text.lower().split())


def count_words(texts: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Return the most frequent words of two or more characters, with their counts."""
    counts: Counter[str] = Counter()
    for text in texts:
        words = (word.text for word in segment(text.lower()))
        counts.update(word for word in words if len(word.strip()) > 1)
    return tuple(counts.most_common(_MAX_WORDS))
