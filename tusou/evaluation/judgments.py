"""Answers: what was asked and what is correct; of query files, captions of images, qrels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId, is_id
from tusou.core.json_objects import parse_object
from tusou.data import open_dataset
from tusou.data.formats.muge import read_queries
from tusou.data.jsonl import split_lines
from tusou.data.submission import Direction
from tusou.evaluation import trec
from tusou.evaluation.metrics import JudgedRanking
from tusou.evaluation.run_rows import query_of, show
from tusou.evaluation.runs import Run

T = TypeVar("T")

# A file of such a name may be a dataset by itself: captions, or a tar.
_DATASETS = {".json", ".tar", ".txt"}


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """One query, and the grade of each correct item: None where the file gives no answers."""

    line: int
    query_id: ItemId
    text: str | None  # None for an image, and for a topic of TREC's
    grades: Mapping[ItemId, int] | None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Judgments:
    """All queries of an answers file, in its order."""

    path: Path
    rows: tuple[JudgedQuery, ...]
    direction: Direction = "text_to_image"
    textual: bool = False  # ids are TREC's words
    judgments_only: bool = False  # a query without a correct item cannot be in the file

    def place(self, row: JudgedQuery) -> str:
        """Say where a query stands, for messages."""
        return f"{self.path}:{row.line}: query {show(row.query_id)}"

    @property
    def correct(self) -> set[ItemId]:
        """Every item that is correct for some query."""
        return {
            item for row in self.rows for item, grade in (row.grades or {}).items() if grade > 0
        }


def read_judgments(place: Path | str, direction: Direction | None = None) -> Judgments:
    """Read a query file, `{"image_id" or "item_id", "text_ids"}` rows, or TREC judgments.

    `place` may also be a dataset of another format, `DATA#SPLIT`: its texts ask for images, or
    in the other `direction` its images for texts. Raises BadDataset with every unusable line.
    """
    path = Path(place)
    if not path.is_file() or path.suffix in _DATASETS:
        return _of_dataset(str(place), direction or "text_to_image")
    lines = split_lines(path.read_bytes())
    first = lines[0] if lines else b""
    if trec.is_qrels(first):
        return _qrels(path, lines)
    if b'"text_ids"' in first:
        return _captions(path, lines)
    rows = (
        JudgedQuery(
            one.line, one.query_id, one.text, _binary(one.item_ids), _category(lines[one.line - 1])
        )
        for one in read_queries(path)
    )
    return Judgments(path, tuple(rows))


def unify_id_types(run: Run, answers: Judgments) -> tuple[Run, Judgments]:
    """Make the ids of both texts where either speaks TREC's words."""
    if not (run.textual or answers.textual):
        return run, answers
    rows = tuple(
        replace(
            row,
            query_id=str(row.query_id),
            grades=None if row.grades is None else _texts(row.grades),
        )
        for row in answers.rows
    )
    return (
        replace(
            run,
            textual=True,
            lines=_texts(run.lines),
            rankings={str(query): tuple(map(str, items)) for query, items in run.rankings.items()},
            scores=_texts(run.scores),
        ),
        replace(answers, rows=rows, textual=True),
    )


def judge(run: Run, answers: Judgments) -> list[JudgedRanking]:
    """Put each list beside its correct items, in the order of the answers."""
    return [JudgedRanking(run.rankings[row.query_id], row.grades or {}) for row in answers.rows]


def _of_dataset(place: str, direction: Direction) -> Judgments:
    dataset = open_dataset(place)
    if direction == "text_to_image":
        rows = [
            JudgedQuery(one.line, one.query_id, one.text, _binary(one.item_ids))
            for one in dataset.queries()
        ]
    else:
        # Images that only ask, as in a test split, come without texts.
        rows = [
            JudgedQuery(one.line, one.item_id, None, _binary(one.text_ids or None))
            for one in dataset.image_queries()
        ]
    return Judgments(Path(place), tuple(rows), direction)


def _binary(items: Sequence[ItemId] | None) -> dict[ItemId, int] | None:
    return None if items is None else dict.fromkeys(items, 1)


def _category(line: bytes) -> str | None:
    """Read the one field that the queries of a dataset do not have."""
    category = parse_object(line).get("category")
    return category if isinstance(category, str) else None


def _texts(by_id: Mapping[ItemId, T]) -> dict[ItemId, T]:
    return {str(key): value for key, value in by_id.items()}


def _captions(path: Path, lines: list[bytes]) -> Judgments:
    rows: dict[ItemId, JudgedQuery] = {}
    problems: list[str] = []
    for line, text in enumerate(lines, start=1):
        try:
            query_id, items = query_of(parse_object(text))
            if query_id in rows:
                raise ValueError(f"{show(query_id)} again, first on line {rows[query_id].line}")
            if not isinstance(items, list) or not all(map(is_id, items)):
                raise ValueError("text_ids is not a list of integers or strings")
            rows[query_id] = JudgedQuery(line, query_id, None, _binary(items))
        except ValueError as error:
            problems.append(f"{path}:{line}: {error}")
    _refuse(problems)
    return Judgments(path, tuple(rows.values()), "image_to_text")


def _qrels(path: Path, lines: list[bytes]) -> Judgments:
    first: dict[ItemId, int] = {}
    grades: dict[ItemId, dict[ItemId, int]] = {}
    problems: list[str] = []
    for line, text in enumerate(lines, start=1):
        try:
            topic, item, grade = trec.qrels_row(text)
            first.setdefault(topic, line)
            if item in grades.setdefault(topic, {}):
                raise ValueError(f"item {item} of topic {topic} is judged twice")
            grades[topic][item] = grade
        except ValueError as error:
            problems.append(f"{path}:{line}: {error}")
    _refuse(problems)
    rows = (JudgedQuery(line, topic, None, grades[topic]) for topic, line in first.items())
    return Judgments(path, tuple(rows), textual=True, judgments_only=True)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise BadDataset("\n  ".join([f"unusable lines: {len(problems)}", *problems]))
