"""Findings of a check: code, severity, count and examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

# An error breaks a run or falsifies a score; a warning makes one worse or doubtful; a note informs.
Severity: TypeAlias = Literal["error", "warning", "note"]
# Documented one by one in docs/check.md.
FindingCode: TypeAlias = Literal[
    "unreadable",
    "unusable_images",
    "bombs",
    "repeated_ids",
    "unusable_lines",
    "empty_queries",
    "refused_queries",
    "dangling_ids",
    "wrong_endings",
    "extreme_shapes",
    "tiny_images",
    "turned_images",
    "transparent_images",
    "library_warnings",
    "same_bytes",
    "near_duplicates",
    "contradictory_pairs",
    "queries_without_answer",
    "repeated_answers",
    "repeated_queries",
    "beyond_tokens",
    "unknown_characters",
    "without_chinese",
    "unknown_language",
    "shared_queries",
    "shared_images",
    "shared_looks",
    "never_asked_for",
    "negations",
    "shared_ids",
    "unmatched_pairs",
    "skipped_files",
    "no_images",
    "no_queries",
    "no_tokenizer",
    "hubs",
]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of finding in one split or between splits; `images` are positions to show."""

    severity: Severity
    code: FindingCode
    split: str
    count: int
    message: str
    examples: tuple[str, ...]
    images: tuple[int, ...] = ()


class Findings:
    """A collection of findings; kinds without a case are left out."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    def add(
        self,
        severity: Severity,
        code: FindingCode,
        split: str,
        examples: Sequence[str],
        message: str,
        *,
        count: int | None = None,
        images: Sequence[int] = (),
    ) -> None:
        """Add a finding unless it has no case; `count` is the number of examples by default."""
        cases = len(examples) if count is None else count
        if cases:
            shown = tuple(dict.fromkeys(examples))[:MAX_EXAMPLES]
            positions = tuple(images[: 2 * MAX_EXAMPLES])
            self._findings.append(Finding(severity, code, split, cases, message, shown, positions))

    def sorted(self) -> list[Finding]:
        """Return the worst first, otherwise in the order in which they were added."""
        return sorted(self._findings, key=lambda finding: SEVERITIES.index(finding.severity))
