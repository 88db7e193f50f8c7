"""Checks that a run, its judgments and its pool fit together."""

from collections.abc import Iterator, Set
from pathlib import Path

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId, is_canonical_integer
from tusou.core.problems import list_problems
from tusou.data import ItemRow, open_pool
from tusou.evaluation.judgments import Judgments
from tusou.evaluation.pool_coverage import count_outside, describe_ids
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


def check_coverage(judgments: Judgments, pool: Set[ItemId], source: Path | str) -> int:
    """Return how many correct items the pool lacks; BadDataset when it has none of them."""
    if judgments.string_ids:
        pool = set(map(str, pool))
    return count_outside(judgments.correct, pool, judgments.path, source)


def list_ids(bundle: Bundle) -> set[ItemId]:
    """Return the ids of a bundle's items."""
    return set(map(bundle.ids.at, range(len(bundle.ids))))


def read_pool_ids(pool: Path) -> set[ItemId]:
    """Read the ids of a bundle or of a pool: integers if every id is a canonical integer."""
    if (pool / CURRENT).is_file():
        return list_ids(Bundle.open(pool))
    rows = open_pool(str(pool)).scan()
    texts = {row.item_id for row in rows if isinstance(row, ItemRow)}
    return set(map(int, texts)) if all(map(is_canonical_integer, texts)) else set(texts)


def find_cause(run: Run, path: Path, judgments: Judgments, pool: Set[ItemId] | None) -> str | None:
    """Return the probable cause of problems that all rows share; None if it is not known."""
    queries = {query.query_id for query in judgments.rows}
    if run.lines and queries and queries.isdisjoint(run.lines):
        if {*map(type, queries)}.isdisjoint(map(type, run.lines)):
            return (
                f"the ids of the queries in {judgments.path} are {describe_ids(queries)}, those in "
                f"{path} are {describe_ids(run.lines)}"
            )
        return (
            f"{path} and {judgments.path} share no query; the answers are probably those of "
            "another split"
        )
    items = {item for ranking in run.rankings.values() for item in ranking}
    if pool and items and items.isdisjoint(pool):
        return f"no item of {path} is in the pool, which is probably that of another split"
    return None


def require_answers(judgments: Judgments) -> None:
    """Raise BadDataset when the file has no correct item at all, as that of a test split."""
    if judgments.rows and not judgments.correct:
        raise BadDataset(
            f"{judgments.path} has no correct item for any of its {len(judgments.rows)} queries, "
            "as the queries of a test split; nothing can be scored. See the results with "
            "`tusou view`, or give the file that holds the answers"
        )


def raise_problems(problems: list[str], work: str = "scored", cause: str | None = None) -> None:
    """Raise BadDataset with the problems, if there are any.

    The message begins with their common `cause`, if it is known, and says that nothing was `work`.
    """
    if problems:
        reason = "" if cause is None else f"{cause}; "
        raise BadDataset(
            f"{reason}nothing was {work}; problems: {len(problems)}{list_problems(problems)}"
        )
