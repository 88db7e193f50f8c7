"""The files of an evaluation set: queries with their texts beside judgments with probabilities."""

from collections.abc import Callable, Iterable
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId, is_canonical_integer
from tusou.data.jsonl import parse_lines, split_lines
from tusou.data.text_file import read_text_bytes
from tusou.evaluation import trec

QUERIES, PRELS = "MR_test_queries.jsonl", "judgments.prels"


def is_judged_set(path: Path) -> bool:
    """Return whether a folder is a set that `tusou evalset build` wrote."""
    return (path / PRELS).is_file() and (path / QUERIES).is_file()


def read_prels(path: Path, known: Iterable[ItemId]) -> dict[str, dict[ItemId, trec.TrecJudgment]]:
    """Return the judgments of each topic by item, in file order.

    Items have the type of those that are `known`, or of what all of them look like if none is.
    Raises BadDataset for the first line that is malformed or repeats a pair.
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
    kinds = {type(item) for item in known}
    texts = (item for judged in topics.values() for item in judged)
    are_integers = kinds == {int} if kinds else all(map(is_canonical_integer, texts))
    make: Callable[[str], ItemId] = int if are_integers else str
    return {
        topic: {make(item): each for item, each in judged.items()}
        for topic, judged in topics.items()
    }
