"""Checks of a split's labelled pairs: those that are not queries, and contradictory labels."""

from collections.abc import Iterable

from tusou.core.ids import Failure
from tusou.data.labelled_pairs import LabelledPair
from tusou_lab.check.findings import Findings


def check_pairs(split: str, rows: Iterable[LabelledPair | Failure], findings: Findings) -> None:
    """Add findings about pairs; unusable lines are reported with the queries."""
    labels: dict[tuple[str, str], set[bool]] = {}
    unmatched: list[str] = []
    for row in rows:
        if isinstance(row, LabelledPair):
            labels.setdefault((str(row.item_id), row.text), set()).add(row.matches)
            if not row.matches:
                unmatched.append(f"line {row.line}: {row.item_id}, {row.text}")
    message = "pairs that do not match: their texts are not queries"
    findings.add("note", "unmatched_pairs", split, unmatched, message)
    both = [f"{item_id}, {text}" for (item_id, text), each in labels.items() if len(each) > 1]
    findings.add(
        "warning", "contradictory_pairs", split, both, "a text and an image labelled both ways"
    )
