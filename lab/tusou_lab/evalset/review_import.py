"""Reads the grades of people: saved by the page, exported by Label Studio, or in a table."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, cast

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId
from tusou.data.text_file import read_text_bytes
from tusou_lab.evalset.final_grades import PERSON
from tusou_lab.evalset.judgment import Grade, Judgment
from tusou_lab.evalset.pool import PooledPair

PAGE_FORMAT = "tusou_review"
_GRADES = ("0", "1", "2", "3")

# A query, an item, a grade and a person, all as text.
_Row = tuple[str, str, str, str]


def read_reviews(path: Path, pairs: Iterable[PooledPair], person: str | None) -> list[Judgment]:
    """Return the grades in a file, without those that were left open.

    `person` is the name where the file has none. Raises BadDataset for a file of another kind, a
    pair that was not drawn, a grade that is none, and a name that is missing.
    """
    drawn = {(str(pair.query_id), str(pair.item_id)): pair for pair in pairs}
    judgments = []
    for number, (query, item, grade, name) in enumerate(_rows(path), 1):
        if not grade:
            continue
        place = f"{path}: grade {number}"
        if (query, item) not in drawn:
            raise BadDataset(f"{place}: the pair of query {query} and item {item} was not drawn")
        if grade not in _GRADES:
            raise BadDataset(f"{place}: {grade[:20]!r} is not a grade from 0 to 3")
        if not (name or person):
            raise BadDataset(f"{path} does not say who graded: give --person")
        pair = drawn[query, item]
        judge = f"{PERSON}{name or person}"
        judgments.append(Judgment(pair.query_id, pair.item_id, judge, cast("Grade", int(grade))))
    return judgments


def new_judgments(known: Iterable[Judgment], read: Iterable[Judgment]) -> list[Judgment]:
    """Return the grades that are not in the set yet; a changed one is a further repeat."""
    before: dict[tuple[str, int, ItemId], list[Judgment]] = defaultdict(list)
    for each in known:
        before[each.judge, each.query_id, each.item_id].append(each)
    added = []
    for each in read:
        earlier = before[each.judge, each.query_id, each.item_id]
        if earlier and earlier[-1].grade == each.grade:
            continue
        judged = Judgment(each.query_id, each.item_id, each.judge, each.grade, repeat=len(earlier))
        earlier.append(judged)
        added.append(judged)
    return added


def _rows(path: Path) -> Iterator[_Row]:
    data = read_text_bytes(path)
    if path.suffix == ".csv":
        yield from _table_rows(path, data.decode("utf-8", errors="replace"))
        return
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise BadDataset(f"{path} is neither JSON nor a table (.csv)") from None
    if isinstance(value, dict) and PAGE_FORMAT in value:
        yield from _page_rows(path, value)
    elif isinstance(value, list):
        for task in value:
            yield from _task_rows(path, task)
    else:
        raise BadDataset(f"{path} was saved neither by the review page nor by Label Studio")


def _page_rows(path: Path, value: Mapping[str, Any]) -> Iterator[_Row]:
    person = value.get("person")
    for row in value.get("grades", ()):
        try:
            yield str(row["query_id"]), str(row["item_id"]), str(row["grade"]), str(person or "")
        except (TypeError, KeyError):
            raise BadDataset(f"{path}: a grade has no query_id, item_id or grade") from None


def _table_rows(path: Path, text: str) -> Iterator[_Row]:
    table = csv.DictReader(StringIO(text))
    missing = {"query_id", "item_id", "grade"}.difference(table.fieldnames or ())
    if missing:
        raise BadDataset(f"{path} has no column {min(missing)}")
    for row in table:
        yield (
            (row["query_id"] or "").strip(),
            (row["item_id"] or "").strip(),
            (row["grade"] or "").strip(),
            (row.get("person") or "").strip(),
        )


def _task_rows(path: Path, task: object) -> Iterator[_Row]:
    """Yield the grades of a task: the first choice or rating of each annotation."""
    try:
        assert isinstance(task, dict)
        data = task["data"]
        for annotation in task.get("annotations", ()):
            if annotation.get("was_cancelled"):
                continue
            grade = next(map(_choice, annotation["result"]), "")
            by = annotation.get("completed_by", "")
            name = by.get("email", by.get("id", "")) if isinstance(by, dict) else by
            yield str(data["query_id"]), str(data["item_id"]), grade, str(name)
    except (AssertionError, AttributeError, TypeError, KeyError):
        raise BadDataset(
            f"{path}: a task was not exported by Label Studio from a file of `tusou evalset review`"
        ) from None


def _choice(result: Mapping[str, Any]) -> str:
    value = result["value"]
    choices = value.get("choices")
    return str(choices[0] if choices else value["rating"])
