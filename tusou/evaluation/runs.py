"""A run: what a search gave for each query; its own format, a submission's and TREC's.

A run file is JSON lines: a header that says what was searched and how, then a row a query,
`{"query_id", "item_ids", "scores"}`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tusou.core.ids import ItemId
from tusou.core.json_objects import parse_object
from tusou.data.jsonl import split_lines
from tusou.data.submission import Direction, is_teddy_table, is_zip, read_teddy, unzipped
from tusou.evaluation import trec
from tusou.evaluation.run_rows import (
    query_of,
    ranking_of,
    scores_of,
    show,
)

_HEADER = "tusou_run"


class RunHeader(BaseModel):
    """What a run was made from: its bundle's version, its model and index, and how it was asked."""

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
    """A run as it was read, usable or not."""

    lines: Mapping[ItemId, int]  # every query the file names -> its first line
    rankings: Mapping[ItemId, tuple[ItemId, ...]]  # the usable ones: best first, all different
    problems: tuple[tuple[int, str], ...] = ()  # (line, what is wrong), in file order
    scores: Mapping[ItemId, tuple[float, ...]] = field(default_factory=dict)  # where there are any
    header: RunHeader | None = None
    textual: bool = False  # ids are TREC's words, or a table's cells
    direction: Direction | None = None  # where the file says it

    @property
    def depth(self) -> int:
        """The length of the longest list."""
        return max(map(len, self.rankings.values()), default=0)


def read_run(path: Path, top_k: int | None = None) -> Run:
    """Read a run file, a TREC run, or predictions: rows, Teddy Cup's table, or one in a zip.

    BOM and CRLF are accepted. Predictions, which have no header, must hold exactly `top_k` items
    for each query, if it is given; a Teddy table always has five.
    """
    try:
        data = path.read_bytes()
        if is_zip(data):
            data = unzipped(data)
        if is_teddy_table(data):
            return _teddy_run(data)
        lines = split_lines(data)
        if lines and trec.is_run(lines[0]):
            return _trec_run(lines)
        header = _header(lines[0]) if lines else None
    except ValueError as error:
        return Run({}, {}, ((1, str(error)),))
    start = 1 if header else 0
    return _read(lines[start:], start + 1, header, None if header else top_k)


def format_run(run: Run) -> str:
    """Give the text of a run file; the run must have a header."""
    assert run.header is not None
    rows: Iterable[dict[str, object]] = (
        {"query_id": query_id, "item_ids": items, "scores": run.scores.get(query_id)}
        for query_id, items in run.rankings.items()
    )
    written = (json.dumps(row, ensure_ascii=False) for row in (run.header.model_dump(), *rows))
    return "".join(f"{line}\n" for line in written)


def _header(line: bytes) -> RunHeader | None:
    """Read a run file's first line; None when it is a row of predictions or nothing at all."""
    try:
        row = parse_object(line)
    except ValueError:
        return None
    if _HEADER not in row:
        return None
    try:
        return RunHeader.model_validate_json(line)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ValueError(f"the header of a run file has a wrong value at {where}") from None


def _read(lines: list[bytes], first: int, header: RunHeader | None, exactly: int | None) -> Run:
    seen: dict[ItemId, int] = {}
    rankings: dict[ItemId, tuple[ItemId, ...]] = {}
    scores: dict[ItemId, tuple[float, ...]] = {}
    problems: list[tuple[int, str]] = []
    for line, text in enumerate(lines, start=first):
        try:
            row = parse_object(text)
            query_id, items = query_of(row)
            earlier = seen.setdefault(query_id, line)
            if earlier != line:
                raise ValueError(f"query {show(query_id)} again, first on line {earlier}")
            ranking = ranking_of(query_id, items, exactly)
            if header and row.get("scores") is not None:
                scores[query_id] = scores_of(query_id, row["scores"], len(ranking))
            rankings[query_id] = ranking
        except ValueError as error:
            problems.append((line, str(error)))
    direction = header.direction if header else None
    return Run(seen, rankings, tuple(problems), scores, header, direction=direction)


def _teddy_run(data: bytes) -> Run:
    table = read_teddy(data)
    return Run(
        table.lines,
        {query: tuple(items) for query, items in table.rankings.items()},
        tuple(table.problems),
        textual=True,
        direction=table.direction,
    )


def _trec_run(lines: list[bytes]) -> Run:
    first: dict[ItemId, int] = {}
    found: dict[ItemId, list[tuple[str, int, float]]] = {}
    problems: list[tuple[int, str]] = []
    for line, text in enumerate(lines, start=1):
        try:
            topic, item, rank, score = trec.run_row(text)
        except ValueError as error:
            problems.append((line, str(error)))
            continue
        first.setdefault(topic, line)
        found.setdefault(topic, []).append((item, rank, score))
    ordered = {topic: trec.ranked(rows) for topic, rows in found.items()}
    problems += _repeated(ordered, first)
    return Run(
        first,
        {topic: tuple(item for item, _, _ in rows) for topic, rows in ordered.items()},
        tuple(problems),
        {topic: tuple(score for _, _, score in rows) for topic, rows in ordered.items()},
        textual=True,
    )


def _repeated(
    ordered: Mapping[ItemId, list[tuple[str, int, float]]], first: Mapping[ItemId, int]
) -> Iterator[tuple[int, str]]:
    for topic, rows in ordered.items():
        try:
            ranking_of(topic, [item for item, _, _ in rows], None)
        except ValueError as error:
            yield first[topic], str(error)
