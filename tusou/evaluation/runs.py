"""Runs: the ranked items of each query, read from run files, predictions and TREC runs.

A run file is JSON lines: a header that names the bundle and the settings of the search, then one
row `{"query_id", "item_ids", "scores"}` per query.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tusou.core.file_kinds import describe_foreign_file
from tusou.core.ids import ItemId, is_id
from tusou.core.json_objects import parse_object
from tusou.data.jsonl import LineProblem, parse_lines, split_lines
from tusou.data.submission import Direction, is_teddy_table, read_teddy_table, unzip
from tusou.evaluation import trec

_HEADER = "tusou_run"
# The names of a query's id and of its list: in run files and MUGE submissions, in cn_clip's
# predictions, and in predictions for image queries.
_ROW_FIELDS = (
    ("query_id", "item_ids"),
    ("text_id", "image_ids"),
    ("image_id", "text_ids"),
    ("item_id", "text_ids"),
)


class RunHeader(BaseModel):
    """The first line of a run file: bundle version, model, index and search settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tusou_run: Literal[1] = 1
    bundle: str | None
    model: str | None
    index: str | None
    direction: Direction = "text_to_image"
    settings: dict[str, str | int | float | bool | None] = {}
    made: dict[str, str | int | float | None] = {}


@dataclass(frozen=True, slots=True)
class Run:
    """A run as read, with the problems of the file."""

    lines: Mapping[ItemId, int]  # every query in the file -> its first line
    rankings: Mapping[ItemId, tuple[ItemId, ...]]  # valid rows only: best first, without repeats
    problems: tuple[LineProblem, ...] = ()  # in file order
    scores: Mapping[ItemId, tuple[float, ...]] = field(default_factory=dict)  # if the file has any
    header: RunHeader | None = None
    string_ids: bool = False  # ids are always strings: a TREC run's, or a table's cells
    direction: Direction | None = None  # None if the file does not say

    @property
    def depth(self) -> int:
        """The length of the longest list."""
        return max(map(len, self.rankings.values()), default=0)


def read_run(path: Path, top_k: int | None = None) -> Run:
    """Read a run file, a TREC run, or predictions: rows, Teddy Cup's table, or either in a zip.

    A byte order mark and CRLF are accepted. Rows of predictions, which have no header, must hold
    exactly `top_k` items unless it is None; a Teddy Cup table always holds five. Faults are listed
    in `Run.problems` rather than raised.
    """
    try:
        stored = path.read_bytes()
        data = unzip(stored)
        # A zip is a submission; other files that are not text are refused by their kind.
        if data is stored and (kind := describe_foreign_file(path)):
            raise ValueError(f"the file {kind}")
        if is_teddy_table(data):
            table = read_teddy_table(data)
            rankings = {query_id: tuple(items) for query_id, items in table.rankings.items()}
            return Run(
                table.lines,
                rankings,
                tuple(table.problems),
                string_ids=True,
                direction=table.direction,
            )
        lines = split_lines(data)
        if lines and trec.is_run(lines[0]):
            return _read_trec_run(lines)
        header = _read_header(lines[0]) if lines else None
    except ValueError as error:
        return Run({}, {}, ((1, str(error)),))
    if header is None:
        return _read_rows(lines, 1, None, top_k)
    return _read_rows(lines[1:], 2, header, None)


def quote_id(value: object) -> str:
    """Return an id for a message, so that 7 and "7" look different."""
    return json.dumps(value, ensure_ascii=False)


def split_row(row: dict[str, object]) -> tuple[ItemId, object]:
    """Return a row's query id, and the value of the field for its items, not checked yet.

    Raises ValueError when the row has no valid query id.
    """
    id_name, items_name = next((names for names in _ROW_FIELDS if names[0] in row), _ROW_FIELDS[0])
    query_id = row.get(id_name)
    if not is_id(query_id):
        raise ValueError(f"{id_name} is missing, or neither an integer nor a string")
    return query_id, row.get(items_name)


def format_run(run: Run) -> str:
    """Return the text of a run file; the run must have a header."""
    assert run.header is not None
    rows: Iterable[dict[str, object]] = (
        {"query_id": query_id, "item_ids": items, "scores": run.scores.get(query_id)}
        for query_id, items in run.rankings.items()
    )
    lines = (json.dumps(row, ensure_ascii=False) for row in (run.header.model_dump(), *rows))
    return "".join(f"{line}\n" for line in lines)


def _check_ranking(query_id: ItemId, items: object, length: int | None) -> tuple[ItemId, ...]:
    """Return a query's items if they are different ids, `length` of them unless that is None.

    Raises ValueError otherwise.
    """
    prefix = f"query {quote_id(query_id)}"
    if not isinstance(items, list):
        raise ValueError(f"{prefix}: the list of items is missing")
    if wrong := [item for item in items if not is_id(item)]:
        raise ValueError(f"{prefix}: {quote_id(wrong[0])} is neither an integer nor a string")
    if length is not None and len(items) != length:
        raise ValueError(f"{prefix}: {len(items)} items instead of {length}")
    if repeated := [item for item, count in Counter(items).items() if count > 1]:
        raise ValueError(f"{prefix}: repeats {', '.join(map(quote_id, repeated))}")
    return tuple(items)


def _check_scores(query_id: ItemId, scores: object, length: int) -> tuple[float, ...]:
    """Return a query's scores if they are `length` finite numbers, else raise ValueError."""
    values = scores if isinstance(scores, list) else []
    numbers = [value for value in values if type(value) in {int, float} and isfinite(value)]
    if len(numbers) != length or len(values) != length:
        raise ValueError(f"query {quote_id(query_id)}: scores must be {length} finite numbers")
    return tuple(map(float, numbers))


def _read_header(line: bytes) -> RunHeader | None:
    """Return the header of a run file; None when the line is a row of predictions or broken."""
    try:
        row = parse_object(line)
    except ValueError:
        return None
    if _HEADER not in row:
        return None
    try:
        return RunHeader.model_validate_json(line)
    except ValidationError as error:
        location = ".".join(map(str, error.errors()[0]["loc"]))
        raise ValueError(f"the header of a run file has a wrong value at {location}") from None


def _read_rows(lines: list[bytes], first: int, header: RunHeader | None, length: int | None) -> Run:
    first_lines: dict[ItemId, int] = {}
    rankings: dict[ItemId, tuple[ItemId, ...]] = {}
    scores: dict[ItemId, tuple[float, ...]] = {}
    problems: list[LineProblem] = []
    for line, row in parse_lines(lines, parse_object, problems, first):
        try:
            query_id, items = split_row(row)
            first_line = first_lines.setdefault(query_id, line)
            if first_line != line:
                raise ValueError(f"query {quote_id(query_id)} again, first on line {first_line}")
            ranking = _check_ranking(query_id, items, length)
            if header and row.get("scores") is not None:
                scores[query_id] = _check_scores(query_id, row["scores"], len(ranking))
            rankings[query_id] = ranking
        except ValueError as error:
            problems.append((line, str(error)))
    direction = header.direction if header else None
    return Run(first_lines, rankings, tuple(problems), scores, header, direction=direction)


def _read_trec_run(lines: list[bytes]) -> Run:
    first_lines: dict[ItemId, int] = {}
    rows: dict[ItemId, list[trec.RankedItem]] = {}
    problems: list[LineProblem] = []
    for line, (topic, ranked_item) in parse_lines(lines, trec.parse_run_row, problems):
        first_lines.setdefault(topic, line)
        rows.setdefault(topic, []).append(ranked_item)
    # As in `trec_eval`, items are ordered by score; the ranks only order equal scores.
    rankings = {
        topic: sorted(items, key=lambda row: (-row.score, row.rank))
        for topic, items in rows.items()
    }
    for query_id, ranking in rankings.items():
        try:
            _check_ranking(query_id, [row.item for row in ranking], None)
        except ValueError as error:
            problems.append((first_lines[query_id], str(error)))
    return Run(
        first_lines,
        {topic: tuple(row.item for row in ranking) for topic, ranking in rankings.items()},
        tuple(problems),
        {topic: tuple(row.score for row in ranking) for topic, ranking in rankings.items()},
        string_ids=True,
    )
