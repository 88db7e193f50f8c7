"""The files of an evaluation set: queries with their texts beside judgments with probabilities."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId, is_canonical_integer
from tusou.data.jsonl import parse_lines, split_lines
from tusou.data.text_file import read_text_bytes
from tusou.evaluation import trec

QUERIES, PRELS = "MR_test_queries.jsonl", "judgments.prels"

T = TypeVar("T")


def is_judged_set(path: Path) -> bool:
    """Return whether a folder is a set that `tusou evalset build` wrote."""
    return (path / PRELS).is_file() and (path / QUERIES).is_file()


def read_prels(path: Path) -> dict[str, dict[ItemId, trec.TrecJudgment]]:
    """Return the judgments of each topic by item, in file order.

    Items are integers if all of them look like one, as in bundles. Raises BadDataset for the first
    line that is malformed or repeats a pair.
    """
    problems: list[tuple[int, str]] = []
    topics: dict[str, dict[str, trec.TrecJudgment]] = {}
    lines = split_lines(read_text_bytes(path))
    for line, judgment in parse_lines(lines, trec.parse_prels_row, problems):
        items = topics.setdefault(judgment.topic, {})
        if judgment.item in items:
            problems.append((line, f"item {judgment.item} is judged twice"))
        items[judgment.item] = judgment
    if problems:
        line, problem = problems[0]
        raise BadDataset(f"{path}:{line}: {problem}")
    return _with_item_ids(topics)


def _with_item_ids(topics: Mapping[str, Mapping[str, T]]) -> dict[str, dict[ItemId, T]]:
    items: Iterable[str] = (item for judged in topics.values() for item in judged)
    make: Callable[[str], ItemId] = int if all(map(is_canonical_integer, items)) else str
    return {
        topic: {make(item): each for item, each in judged.items()}
        for topic, judged in topics.items()
    }
