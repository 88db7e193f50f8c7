"""Precision and recall of the understanding of refusals on written sets of queries."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.wilson import wilson_interval
from tusou.text.negation import parse_negation

_DATA = Path(__file__).parent / "data"
# `tuning` is read while rules are written; `heldout` chooses neither a rule nor a word.
HALVES = ("tuning", "heldout")

# Spaces, punctuation and 的 do not change what is searched for.
_INSIGNIFICANT = re.compile(r"[\s,，。;；、!！?？()（）的]")


@dataclass(frozen=True, slots=True)
class RefusalCase:
    """A query with what it asks for and what it refuses; `refused` is empty for a plain query."""

    query: str
    positive: str
    refused: tuple[str, ...]

    @property
    def is_split(self) -> bool:
        """Return whether the query is split at all."""
        return parse_negation(self.query) is not None

    @property
    def is_correct(self) -> bool:
        """Return whether both parts are as expected; spaces and 的 do not count."""
        understood = parse_negation(self.query)
        if understood is None:
            return not self.refused
        parts = [understood.positive, *understood.refused]
        expected = [self.positive, *self.refused]
        return bool(self.refused) and list(map(_significant, parts)) == list(
            map(_significant, expected)
        )


def read_cases(half: str) -> list[RefusalCase]:
    """Return the cases of a half of the written queries."""
    with (_DATA / f"refusals_{half}.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            RefusalCase(
                row["query"], row["positive"], tuple(filter(None, row["refused"].split("|")))
            )
            for row in rows
        ]


def score(cases: Sequence[RefusalCase]) -> dict[str, object]:
    """Return precision and recall of exact splits, and false splits of plain queries."""
    refusals = [case for case in cases if case.refused]
    plain = [case for case in cases if not case.refused]
    split = [case for case in cases if case.is_split]
    correct = sum(case.is_correct for case in refusals)
    return {
        "refusals": len(refusals),
        "plain": len(plain),
        "precision": share(correct, len(split)),
        "recall": share(correct, len(refusals)),
        "plain left whole": share(sum(case.is_correct for case in plain), len(plain)),
    }


def share(count: int, total: int) -> dict[str, object]:
    """Return a share with its 95 % interval (Wilson), rounded to four digits."""
    if not total:
        return {"count": "0/0"}
    interval = [*wilson_interval(count, total)]
    return {"share": round(count / total, 4), "interval": interval, "count": f"{count}/{total}"}


def _significant(text: str) -> str:
    return _INSIGNIFICANT.sub("", text)
