"""What makes ranked lists a submission: of MUGE, or of Teddy Cup's two tasks."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from tusou.core.errors import InvalidRequest
from tusou.core.ids import ItemId
from tusou.core.json_objects import parse_object
from tusou.data.jsonl import split_lines
from tusou.data.submission import (
    MUGE_ITEMS,
    TEDDY_ITEMS,
    is_teddy_table,
    is_zip,
    teddy_table,
    unzipped,
    zipped,
)
from tusou.evaluation.judgments import Judgments
from tusou.evaluation.run_rows import show
from tusou.evaluation.runs import Run

Contest: TypeAlias = Literal["MUGE", "Teddy Cup"]

# The file in a zip; no contest says how it must be called.
_IN_ZIP = "test_pred.jsonl"


def contest_of(data: bytes) -> Contest:
    """Tell whose submission a file is meant to be."""
    return "Teddy Cup" if is_teddy_table(data) else "MUGE"


def breaches(data: bytes, run: Run, answers: Judgments) -> Iterator[tuple[int, str]]:
    """Name the lines of a file that its contest would refuse, beside those that are wrong anyway.

    MUGE: rows in the order of the queries, under its own names, with the query's text, ids that
    are integers, no byte order mark. Teddy Cup: a table of the direction that was asked.
    """
    if contest_of(data) == "Teddy Cup":
        if run.direction != answers.direction:
            yield 1, f"a table of {run.direction}, and the queries are {answers.direction}"
        return
    if is_zip(data):
        data = unzipped(data)
    if data.startswith(b"\xef\xbb\xbf"):
        yield 1, "a byte order mark stands before the first row"
    asked = {row.query_id: row.text for row in answers.rows}
    due = [row.query_id for row in answers.rows if row.query_id in run.lines]
    found = [query for query in run.lines if query in asked]
    misplaced = next((pair for pair in zip(found, due, strict=True) if pair[0] != pair[1]), None)
    if misplaced:
        said = f"query {show(misplaced[0])} stands where {show(misplaced[1])} should"
        yield run.lines[misplaced[0]], f"{said}: keep the order of the queries"
    lines = split_lines(data)
    for query_id, items in run.rankings.items():
        line = run.lines[query_id]
        yield from ((line, said) for said in _muge_row(lines[line - 1], asked.get(query_id)))
        if any(isinstance(one, str) for one in (query_id, *items)):
            yield line, f"query {show(query_id)}: ids must be integers"


def _muge_row(line: bytes, text: str | None) -> Iterator[str]:
    row = parse_object(line)
    missing = [name for name in ("query_id", "query_text", "item_ids") if name not in row]
    if missing:
        yield f"the field {missing[0]} is missing"
    elif row["query_text"] != text:
        yield "query_text is not that of the query"


def check_savable(path: Path, run: Run, answers: Judgments) -> None:
    """Refuse to write as a submission what its contest would refuse."""
    count = TEDDY_ITEMS if path.suffix == ".csv" else MUGE_ITEMS
    short = [query for query, items in run.rankings.items() if len(items) < count]
    if short:
        raise InvalidRequest(
            f"--save {path}: a submission holds {count} items for each query, and query "
            f"{show(short[0])} has {len(run.rankings[short[0]])}"
        )
    ids = [item for query, items in run.rankings.items() for item in (query, *items)]
    if path.suffix == ".zip" and (
        answers.direction != "text_to_image" or any(isinstance(one, str) for one in ids)
    ):
        raise InvalidRequest(
            f"--save {path}: MUGE takes images for texts, all ids integers; "
            "Teddy Cup's tables end in .csv"
        )


def format_submission(path: Path, run: Run, answers: Judgments) -> bytes:
    """Write Teddy Cup's table (.csv) or MUGE's rows in a zip (.zip)."""
    check_savable(path, run, answers)
    rows = [(row, run.rankings[row.query_id]) for row in answers.rows]
    if path.suffix == ".csv":
        five = [(row.query_id, items[:TEDDY_ITEMS]) for row, items in rows]
        return teddy_table(five, answers.direction)
    lines = [_line(row.query_id, row.text, items[:MUGE_ITEMS]) for row, items in rows]
    return zipped(_IN_ZIP, "".join(lines).encode())


def _line(query_id: ItemId, text: str | None, items: Sequence[ItemId]) -> str:
    row = {"query_id": query_id, "query_text": text, "item_ids": items}
    return json.dumps(row, ensure_ascii=False) + "\n"
