"""Sources of pairs to train on, and the weight of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from tusou.core.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class TrainingSource:
    """A dataset, or a split of it, and how often an epoch uses its pairs.

    With the weight 0.3, an epoch uses three tenths of the pairs, a different sample each time; with
    2, it uses each pair twice.
    """

    data: str
    weight: float = 1.0

    def name(self, record: str) -> str:
        """Return the source's name of a record, with the weight unless it is 1."""
        return record if self.weight == 1 else f"{record}:{self.weight:g}"


@dataclass(frozen=True, slots=True)
class SourceRange:
    """The queries and images of one source, which follow those of the sources before it."""

    queries: int
    images: int
    weight: float


def parse_source(text: str) -> TrainingSource:
    """Read DATA or DATA:WEIGHT; InvalidRequest for a weight that is not a positive number."""
    data, colon, weight = text.rpartition(":")
    if not colon or not data or ("#" not in text and Path(text).exists()):
        return TrainingSource(text)
    try:
        number = float(weight)
    except ValueError:
        return TrainingSource(text)
    if not (isfinite(number) and number > 0):
        raise InvalidRequest(f"{text}: the weight after the colon must be a number above 0")
    return TrainingSource(data, number)


def parse_sources(data: str, further: Sequence[str]) -> list[TrainingSource]:
    """Read the sources of a training; InvalidRequest."""
    return [parse_source(text) for text in (data, *further)]


def all_sources(data: str | None, further: Sequence[str]) -> list[str]:
    """Return the sources that were given, the main one first; InvalidRequest if there are none."""
    sources = [*further] if data is None else [data, *further]
    if not sources:
        raise InvalidRequest("Give the data to train on: `tusou train DATA`, or --data DATA.")
    return sources
