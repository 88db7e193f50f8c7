"""Findings: what was noticed, how bad it is, and examples of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

# An error breaks a run or a figure; a warning makes one worse or doubtful; a note is to be known.
Severity: TypeAlias = Literal["error", "warning", "note"]
# Documented one by one in docs/check.md.
Code: TypeAlias = Literal[
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
    "same_bytes",
    "near_duplicates",
    "queries_without_answer",
    "repeated_answers",
    "repeated_queries",
    "beyond_tokens",
    "unknown_characters",
    "shared_queries",
    "shared_images",
    "shared_looks",
    "never_asked_for",
    "negations",
    "shared_ids",
    "no_images",
    "no_queries",
]
ORDER: tuple[Severity, ...] = ("error", "warning", "note")

SHOWN = 5  # examples of one finding


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing in one split, or between splits; `images` are positions to be shown."""

    severity: Severity
    code: Code
    split: str
    count: int
    said: str
    examples: tuple[str, ...]
    images: tuple[int, ...] = ()


class Findings:
    """Collects findings; nothing is said of what there is none of."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def add(
        self,
        severity: Severity,
        code: Code,
        split: str,
        examples: Sequence[str],
        said: str,
        *,
        count: int | None = None,
        images: Sequence[int] = (),
    ) -> None:
        """Add a finding with as many cases as examples, unless it is counted otherwise."""
        cases = len(examples) if count is None else count
        if cases:
            shown = tuple(dict.fromkeys(examples))[:SHOWN]
            self._found.append(
                Finding(severity, code, split, cases, said, shown, tuple(images[: 2 * SHOWN]))
            )

    def sorted(self) -> list[Finding]:
        """Give the worst first, otherwise in the order they were found."""
        return sorted(self._found, key=lambda finding: ORDER.index(finding.severity))
