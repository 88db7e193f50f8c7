"""Checks that a run, its judgments and its pool fit together."""

from collections.abc import Iterator, Set
from pathlib import Path

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.bundle.item_ids import is_canonical_integer
from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId
from tusou.data import ItemRow, open_pool
from tusou.evaluation.judgments import Judgments
from tusou.evaluation.runs import Run, quote_id


def find_mismatches(run: Run, path: Path, judgments: Judgments) -> Iterator[str]:
    """Yield queries without a row in the run, and rows of queries that have no judgments.

    TREC judgments leave out queries without a correct item, so with them a row too many is not
    a mistake.
    """
    for query in judgments.rows:
        if query.query_id not in run.lines:
            yield f"{judgments.locate(query)} has no row in {path}"
    if judgments.positives_only:
        return
    known = {query.query_id for query in judgments.rows}
    for query_id, line in run.lines.items():
        if query_id not in known:
            yield f"{path}:{line}: query {quote_id(query_id)} is not in {judgments.path}"


def find_unjudged(judgments: Judgments) -> Iterator[str]:
    """Yield the queries for which the file does not give correct items."""
    for query in judgments.rows:
        if query.grades is None:
            yield f"{judgments.locate(query)} has no item_ids, so it cannot be scored"


def find_wrong_items(
    run: Run, path: Path, correct: Set[ItemId], pool: Set[ItemId] | None
) -> Iterator[str]:
    """Yield rows whose item ids have the wrong type or are not in the pool."""
    types = {type(item) for item in pool or correct}
    expected = "integers" if types == {int} else "strings"
    for query_id, items in run.rankings.items():
        row = f"{path}:{run.lines[query_id]}: query {quote_id(query_id)}"
        if items and len(types) == 1 and {type(item) for item in items} != types:
            yield f"{row}: ids must be {expected}, as in the answers and the pool"
        elif pool is not None and (missing := [item for item in items if item not in pool]):
            yield f"{row}: not in the pool: {', '.join(map(quote_id, missing))}"


def read_pool_ids(pool: Path) -> set[ItemId]:
    """Read the ids of a bundle or of a pool: integers if every id is a canonical integer."""
    if (pool / CURRENT).is_file():
        ids = Bundle.open(pool).ids
        return set(map(ids.at, range(len(ids))))
    rows = open_pool(str(pool)).scan()
    texts = {row.item_id for row in rows if isinstance(row, ItemRow)}
    return set(map(int, texts)) if all(map(is_canonical_integer, texts)) else set(texts)


def raise_problems(problems: list[str], work: str = "scored") -> None:
    """Raise BadDataset with all problems, if there are any; `work` is what was not done."""
    if problems:
        lines = "\n  ".join(problems)
        raise BadDataset(f"nothing was {work}; problems: {len(problems)}\n  {lines}")
