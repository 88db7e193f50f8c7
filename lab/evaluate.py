"""Score a run against the answers, after checking that the two fit together."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle import Bundle
from tusou.datasets.muge import ImagesFile, PictureRow, Query, read_queries
from tusou.errors import BadDataset
from tusou.evaluation.metrics import Judged, score
from tusou.evaluation.runs import Run, read_run, show
from tusou.items import is_canonical_integer
from tusou.types import ItemId


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a run scored."""

    queries: int
    without_answer: int  # queries whose list of correct items is empty: they score zero
    answers_outside_pool: int | None  # correct items no search can find; None without a pool
    top_k: int
    percent: dict[str, float]  # metric name -> value


def evaluate(
    predictions: Path, answers: Path, pool: Path | None = None, top_k: int = 10
) -> Evaluation:
    """Score `predictions` (rows of exactly `top_k` ids) against `answers`.

    `pool` is the picture file or the bundle that was searched. Raises BadDataset with every
    problem of both files at once, each with file and line.
    """
    run = read_run(predictions, top_k)
    problems = [f"{predictions}:{line}: {problem}" for line, problem in run.problems]
    queries: list[Query] = []
    try:
        queries = read_queries(answers)
    except BadDataset as error:
        problems.append(str(error))
    else:
        problems += _mismatches(run, predictions, queries, answers)
    in_pool = None if pool is None else _pool_ids(pool)
    problems += _wrong_items(run, predictions, _correct(queries), in_pool)
    if problems:
        listed = "\n  ".join(problems)
        raise BadDataset(f"nothing was scored; problems: {len(problems)}\n  {listed}")
    return _scored(run, queries, in_pool, top_k)


def _mismatches(run: Run, predictions: Path, queries: list[Query], answers: Path) -> Iterator[str]:
    for query in queries:
        where = f"{answers}:{query.line}: query {show(query.query_id)}"
        if query.item_ids is None:
            yield f"{where} has no item_ids, so it is not an answer"
        if query.query_id not in run.lines:
            yield f"{where} has no row in {predictions}"
    asked = {query.query_id for query in queries}
    for query_id, line in run.lines.items():
        if query_id not in asked:
            yield f"{predictions}:{line}: query {show(query_id)} is not in {answers}"


def _wrong_items(
    run: Run, predictions: Path, correct: Set[ItemId], in_pool: Set[ItemId] | None
) -> Iterator[str]:
    kinds = {type(item) for item in in_pool or correct}
    wanted = "integers" if kinds == {int} else "strings"
    for query_id, item_ids in run.rankings.items():
        where = f"{predictions}:{run.lines[query_id]}: query {show(query_id)}"
        if len(kinds) == 1 and {type(item) for item in item_ids} != kinds:
            yield f"{where}: ids must be {wanted}, as those of the answers and the pool are"
        elif in_pool is not None and (outside := [i for i in item_ids if i not in in_pool]):
            yield f"{where}: not in the pool: {', '.join(map(show, outside))}"


def _correct(queries: list[Query]) -> set[ItemId]:
    return {item for query in queries for item in query.item_ids or ()}


def _pool_ids(pool: Path) -> set[ItemId]:
    """Read the ids of a bundle folder or of a picture file: integers when all of them are."""
    if pool.is_dir():
        ids = Bundle.open(pool).ids
        return {ids[key] for key in range(len(ids))}
    rows = ImagesFile(pool).scan()
    texts = {row.item_id for row in rows if isinstance(row, PictureRow)}
    return set(map(int, texts)) if all(map(is_canonical_integer, texts)) else set(texts)


def _scored(run: Run, queries: list[Query], in_pool: Set[ItemId] | None, top_k: int) -> Evaluation:
    judged = [Judged(run.rankings[query.query_id], query.item_ids or ()) for query in queries]
    return Evaluation(
        queries=len(queries),
        without_answer=sum(not query.correct for query in judged),
        answers_outside_pool=None if in_pool is None else len(_correct(queries) - in_pool),
        top_k=top_k,
        percent={name: 100 * value for name, value in score(judged, top_k).items()},
    )
