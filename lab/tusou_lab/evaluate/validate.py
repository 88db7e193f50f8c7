"""Whether a run and the answers fit together: every problem, with its file and line."""

from collections.abc import Iterator, Set
from pathlib import Path

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.bundle.item_ids import is_canonical_integer
from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId
from tusou.data import ItemRow, open_pool
from tusou.evaluation.judgments import Judgments
from tusou.evaluation.run_rows import show
from tusou.evaluation.runs import Run


def mismatches(run: Run, source: Path, answers: Judgments) -> Iterator[str]:
    """Name queries that lack a row, and rows of queries that were not asked.

    Judgments in TREC's format cannot hold a query without a correct item, so rows of queries
    that they leave out are no mistake.
    """
    for row in answers.rows:
        if row.query_id not in run.lines:
            yield f"{answers.place(row)} has no row in {source}"
    if answers.judgments_only:
        return
    asked = {row.query_id for row in answers.rows}
    for query_id, line in run.lines.items():
        if query_id not in asked:
            yield f"{source}:{line}: query {show(query_id)} is not in {answers.path}"


def unanswered(answers: Judgments) -> Iterator[str]:
    """Name the queries of a file that gives no answer to them."""
    for row in answers.rows:
        if row.grades is None:
            yield f"{answers.place(row)} has no item_ids, so it is not an answer"


def wrong_items(
    run: Run, source: Path, correct: Set[ItemId], in_pool: Set[ItemId] | None
) -> Iterator[str]:
    """Name rows whose ids are of the wrong type, or not in the pool."""
    kinds = {type(item) for item in in_pool or correct}
    wanted = "integers" if kinds == {int} else "strings"
    for query_id, item_ids in run.rankings.items():
        where = f"{source}:{run.lines[query_id]}: query {show(query_id)}"
        if item_ids and len(kinds) == 1 and {type(item) for item in item_ids} != kinds:
            yield f"{where}: ids must be {wanted}, as those of the answers and the pool are"
        elif in_pool is not None and (outside := [i for i in item_ids if i not in in_pool]):
            yield f"{where}: not in the pool: {', '.join(map(show, outside))}"


def pool_ids(pool: Path) -> set[ItemId]:
    """Read the ids of a bundle or of a pool: integers when all of them are."""
    if (pool / CURRENT).is_file():
        ids = Bundle.open(pool).ids
        return {ids[key] for key in range(len(ids))}
    rows = open_pool(str(pool)).scan()
    texts = {row.item_id for row in rows if isinstance(row, ItemRow)}
    return set(map(int, texts)) if all(map(is_canonical_integer, texts)) else set(texts)


def refuse(problems: list[str], work: str = "scored") -> None:
    """Raise BadDataset with all problems of all files, if there are any."""
    if problems:
        listed = "\n  ".join(problems)
        raise BadDataset(f"nothing was {work}; problems: {len(problems)}\n  {listed}")
