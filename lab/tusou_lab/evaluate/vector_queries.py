"""Queries whose vectors another program encoded, for the rows of a judgments file."""

from pathlib import Path

import numpy as np

from tusou.bundle.given_vectors import GivenVectors
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.problems import list_problems
from tusou.evaluation.judgments import Judgments
from tusou.retrieval.query import Query, VectorPart
from tusou_lab.evaluate.validate import raise_problems


def read_vector_queries(
    judgments: Judgments, vectors: Path, ids: Path | None, dim: int, top_k: int
) -> list[Query]:
    """Return the query of every row, in order, with its vector from a file, (m, d).

    `ids` holds the query id of each vector, one a line; without it, the vectors are those of the
    rows in their order. Raises InvalidRequest for vectors of another length than `dim`, and
    BadDataset for other files, with every row that has no vector.
    """
    given = GivenVectors(vectors)
    if given.dim != dim:
        raise InvalidRequest(
            f"{vectors} has vectors of {given.dim} numbers, the bundle's have {dim}"
        )
    rows = _rows_of(judgments, given, ids)
    usable = np.concatenate([norms for _, _, norms in given.blocks()])
    problems = []
    for query, row in zip(judgments.rows, rows, strict=True):
        reason = "no vector has its id" if row is None else given.problem(float(usable[row]))
        if reason is not None:
            problems.append(f"{judgments.locate(query)}: {reason}")
    raise_problems(problems, "searched")
    # In the order of the file, each once: ids of rows are unique, but vectors may be shared.
    needed = np.unique(np.array([row for row in rows if row is not None], np.int64))
    units = np.concatenate(list(given.unit_rows(needed)))
    places = np.searchsorted(needed, np.array(rows, np.int64))
    return [Query((VectorPart(units[place], None),), top_k) for place in places.tolist()]


def _rows_of(judgments: Judgments, given: GivenVectors, ids: Path | None) -> list[int | None]:
    """Return the row of each query's vector in the file; None if the file does not have its id."""
    if ids is None:
        if len(given) != len(judgments.rows):
            raise BadDataset(
                f"{given.path} holds {len(given):,} vectors, and {judgments.path} has "
                f"{len(judgments.rows):,} queries; give the ids of the vectors with --query-ids"
            )
        return list(range(len(given)))
    try:
        names = ids.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadDataset(f"{ids} is not UTF-8; write one id per line") from None
    if len(names) != len(given):
        raise BadDataset(
            f"{ids} holds {len(names):,} ids, and {given.path} {len(given):,} vectors; write one "
            "id per line, for each vector"
        )
    by_id: dict[str, int] = {}
    repeated = [name for row, name in enumerate(names) if by_id.setdefault(name, row) != row]
    if repeated:
        raise BadDataset(f"{ids}: ids that occur twice{list_problems(repeated)}")
    return [by_id.get(str(query.query_id)) for query in judgments.rows]
