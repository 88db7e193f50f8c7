"""Checks of a run against the rules of MUGE and of Teddy Cup's two tasks."""

from collections.abc import Iterator
from pathlib import Path

from tusou.core.errors import InvalidRequest
from tusou.data.jsonl import BOM, LineProblem, split_lines
from tusou.data.submission import (
    CONTESTS,
    MUGE,
    TEDDY_CUP,
    check_muge_row,
    find_contest,
    format_muge_row,
    format_teddy_table,
    unzip,
    zip_rows,
)
from tusou.evaluation.judgments import Judgments
from tusou.evaluation.runs import Run, quote_id


def find_breaches(data: bytes, run: Run, judgments: Judgments) -> Iterator[LineProblem]:
    """Yield each line that the contest would refuse although a run file may hold it.

    MUGE: rows in the order of the queries, under its own field names, with the query's text,
    integer ids, and no byte order mark. Teddy Cup: a table of the queries' direction.
    """
    if find_contest(data) is TEDDY_CUP:
        if run.direction != judgments.direction:
            yield 1, f"a table of {run.direction}, but the queries are {judgments.direction}"
        return
    data = unzip(data)
    if data.startswith(BOM):
        yield 1, "the file begins with a byte order mark"
    texts = {query.query_id: query.text for query in judgments.rows}
    expected = [query_id for query_id in texts if query_id in run.lines]
    actual = [query_id for query_id in run.lines if query_id in texts]
    for query_id, expected_id in zip(actual, expected, strict=True):
        if query_id != expected_id:
            message = f"query {quote_id(query_id)} where {quote_id(expected_id)} is expected"
            yield run.lines[query_id], f"{message}: keep the order of the queries"
            break
    lines = split_lines(data)
    for query_id, items in run.rankings.items():
        line = run.lines[query_id]
        for problem in check_muge_row(lines[line - 1], texts.get(query_id)):
            yield line, problem
        if any(isinstance(value, str) for value in (query_id, *items)):
            yield line, f"query {quote_id(query_id)}: ids must be integers"


def format_submission(path: Path, run: Run, judgments: Judgments) -> bytes:
    """Return Teddy Cup's table (.csv) or MUGE's rows in a zip (.zip).

    Raises InvalidRequest for a run that the contest would refuse.
    """
    contest = CONTESTS[path.suffix]
    for query_id, items in run.rankings.items():
        if len(items) < contest.items:
            raise InvalidRequest(
                f"--save {path}: a submission holds {contest.items} items for each query, but "
                f"query {quote_id(query_id)} has {len(items)}"
            )
    ids = [value for query_id, items in run.rankings.items() for value in (query_id, *items)]
    if contest is MUGE and (
        judgments.direction != "text_to_image" or any(isinstance(value, str) for value in ids)
    ):
        raise InvalidRequest(
            f"--save {path}: MUGE takes images for texts and integer ids only; "
            "Teddy Cup's tables end in .csv"
        )
    rankings = [(query, run.rankings[query.query_id][: contest.items]) for query in judgments.rows]
    if contest is TEDDY_CUP:
        return format_teddy_table(
            ((query.query_id, items) for query, items in rankings), judgments.direction
        )
    return zip_rows(format_muge_row(query.query_id, query.text, items) for query, items in rankings)
