"""Judgments: queries with their correct items, from query files, captions, datasets or qrels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId, is_id
from tusou.core.json_objects import parse_object
from tusou.core.problems import list_problems
from tusou.data import DatasetQuery, may_be_dataset, open_dataset
from tusou.data.formats.muge import read_queries
from tusou.data.jsonl import LineProblem, parse_lines, split_lines
from tusou.data.submission import Direction
from tusou.data.text_file import read_text_bytes
from tusou.evaluation import trec
from tusou.evaluation.judged_set import PRELS, QUERIES, is_judged_set, read_prels
from tusou.evaluation.metrics import JudgedRanking
from tusou.evaluation.runs import Run, quote_id, split_row
from tusou.evaluation.sampled import SampledRanking
from tusou.evaluation.trec import TrecJudgment

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """One query and the grade of each judged item; None where the file has no judgments."""

    line: int
    query_id: ItemId
    text: str | None  # None for an image, and for a TREC topic
    grades: Mapping[ItemId, int] | None
    category: str | None = None
    # The drawing of each judged item; None where all of a pool was judged.
    probabilities: Mapping[ItemId, float] | None = None

    @property
    def correct(self) -> list[ItemId]:
        """The items with a positive grade."""
        return [item for item, grade in (self.grades or {}).items() if grade > 0]


@dataclass(frozen=True, slots=True)
class Judgments:
    """All queries of a file of judgments, in its order."""

    path: Path
    rows: tuple[JudgedQuery, ...]
    direction: Direction = "text_to_image"
    string_ids: bool = False  # ids are always strings, as in TREC's formats
    positives_only: bool = False  # the format cannot hold a query without a correct item

    def locate(self, query: JudgedQuery) -> str:
        """Return a query's file, line and id for a message."""
        return f"{self.path}:{query.line}: query {quote_id(query.query_id)}"

    @property
    def correct(self) -> set[ItemId]:
        """The items that are correct for at least one query."""
        return {item for row in self.rows for item in row.correct}


def read_judgments(source: Path | str, direction: Direction | None = None) -> Judgments:
    """Read a query file, rows of `{"image_id" or "item_id", "text_ids"}`, or TREC judgments.

    `source` may also be a dataset of another format, `DATA#SPLIT`: its texts are the queries and
    its images the items, or the other way round for the `direction` image_to_text; or the folder
    of a judged set. Raises BadDataset with every unusable line.
    """
    path = Path(source)
    if is_judged_set(path):
        return _read_judged_set(path)
    if may_be_dataset(path):
        return _read_dataset(str(source), direction or "text_to_image")
    lines = split_lines(read_text_bytes(path))
    first_line = lines[0] if lines else b""
    if trec.is_qrels(first_line):
        return _read_trec(path, lines, trec.parse_qrels_row)
    if trec.is_prels(first_line):
        return _read_trec(path, lines, trec.parse_prels_row)
    if b'"text_ids"' in first_line:
        return _read_image_queries(path, lines)
    return Judgments(path, tuple(map(_judge_query, read_queries(path))))


def unify_id_types(run: Run, judgments: Judgments) -> tuple[Run, Judgments]:
    """Turn the ids of both into strings if the ids of either are always strings."""
    if not (run.string_ids or judgments.string_ids):
        return run, judgments
    rows = tuple(
        replace(
            row,
            query_id=str(row.query_id),
            grades=None if row.grades is None else _string_keys(row.grades),
            probabilities=None if row.probabilities is None else _string_keys(row.probabilities),
        )
        for row in judgments.rows
    )
    return (
        replace(
            run,
            string_ids=True,
            lines=_string_keys(run.lines),
            rankings={str(query): tuple(map(str, items)) for query, items in run.rankings.items()},
            scores=_string_keys(run.scores),
        ),
        replace(judgments, rows=rows, string_ids=True),
    )


def judge_run(run: Run, judgments: Judgments) -> list[JudgedRanking]:
    """Return each query's ranking with its correct items, in the order of the judgments."""
    return [JudgedRanking(run.rankings[row.query_id], row.grades or {}) for row in judgments.rows]


def sample_run(run: Run, judgments: Judgments) -> list[SampledRanking]:
    """Return each query's ranking with its drawn judgments; nothing unless they were drawn."""
    return [
        SampledRanking(run.rankings[row.query_id], row.grades or {}, row.probabilities)
        for row in judgments.rows
        if row.probabilities is not None
    ]


def _read_dataset(source: str, direction: Direction) -> Judgments:
    dataset = open_dataset(source)
    if direction == "text_to_image":
        rows = [_judge_query(query) for query in dataset.queries()]
    else:
        # In a test split, image queries come without their correct texts.
        rows = [
            JudgedQuery(query.line, query.item_id, None, _grade_one(query.text_ids or None))
            for query in dataset.image_queries()
        ]
    return Judgments(Path(source), tuple(rows), direction)


def _read_judged_set(folder: Path) -> Judgments:
    queries = read_queries(folder / QUERIES)
    known = (item for query in queries for item in query.item_ids or ())
    topics = read_prels(folder / PRELS, known)
    rows = [
        JudgedQuery(
            query.line,
            query.query_id,
            query.text,
            {item: each.grade for item, each in judged.items()},
            query.category,
            {item: each.probability for item, each in judged.items() if each.probability},
        )
        for query in queries
        if (judged := topics.get(str(query.query_id), {}))
    ]
    return Judgments(folder, tuple(rows))


def _judge_query(query: DatasetQuery) -> JudgedQuery:
    grades = _grade_one(query.item_ids)
    return JudgedQuery(query.line, query.query_id, query.text, grades, query.category)


def _grade_one(items: Sequence[ItemId] | None) -> dict[ItemId, int] | None:
    return None if items is None else dict.fromkeys(items, 1)


def _string_keys(by_id: Mapping[ItemId, T]) -> dict[ItemId, T]:
    return {str(key): value for key, value in by_id.items()}


def _read_image_queries(path: Path, lines: list[bytes]) -> Judgments:
    rows: dict[ItemId, JudgedQuery] = {}
    problems: list[LineProblem] = []
    for line, (image_id, text_ids) in parse_lines(lines, _parse_image_query, problems):
        if image_id in rows:
            message = f"{quote_id(image_id)} again, first on line {rows[image_id].line}"
            problems.append((line, message))
        else:
            rows[image_id] = JudgedQuery(line, image_id, None, _grade_one(text_ids))
    _raise_problems(path, problems)
    return Judgments(path, tuple(rows.values()), "image_to_text")


def _parse_image_query(line: bytes) -> tuple[ItemId, list[ItemId]]:
    image_id, text_ids = split_row(parse_object(line))
    if not isinstance(text_ids, list) or not all(map(is_id, text_ids)):
        raise ValueError("text_ids is not a list of integers or strings")
    return image_id, text_ids


def _read_trec(path: Path, lines: list[bytes], parse: Callable[[bytes], TrecJudgment]) -> Judgments:
    first_lines: dict[ItemId, int] = {}
    grades: dict[ItemId, dict[ItemId, int]] = {}
    probabilities: dict[ItemId, dict[ItemId, float]] = {}
    problems: list[LineProblem] = []
    for line, judgment in parse_lines(lines, parse, problems):
        topic, item = judgment.topic, judgment.item
        first_lines.setdefault(topic, line)
        if item in grades.setdefault(topic, {}):
            problems.append((line, f"item {item} of topic {topic} is judged twice"))
        grades[topic][item] = judgment.grade
        if judgment.probability is not None:
            probabilities.setdefault(topic, {})[item] = judgment.probability
    _raise_problems(path, problems)
    rows = (
        JudgedQuery(line, topic, None, grades[topic], probabilities=probabilities.get(topic))
        for topic, line in first_lines.items()
    )
    return Judgments(path, tuple(rows), string_ids=True, positives_only=True)


def _raise_problems(path: Path, problems: list[LineProblem]) -> None:
    if problems:
        messages = [f"{path}:{line}: {problem}" for line, problem in problems]
        raise BadDataset(f"unusable lines: {len(problems)}{list_problems(messages)}")
