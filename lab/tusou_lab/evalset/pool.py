"""Pools what several systems return for the queries of a set, and draws the pairs to judge."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.cli.progress import Progress
from tusou.core.arrays import Ids
from tusou.core.errors import BadDataset, CorruptBundle
from tusou.core.ids import ItemId
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.evaluation.runs import Run, read_run
from tusou_lab.evalset.drawing import Drawing, best_ranks, draw, probabilities
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.set_folder import SetFolder
from tusou_lab.evaluate.search_bundle import BundleSearchSpec, search_bundle


@dataclass(frozen=True, slots=True)
class _JudgedPair:
    query_id: int
    item_id: ItemId


_JUDGED = TypeAdapter(_JudgedPair)


@dataclass(frozen=True, slots=True)
class PooledPair:
    """A query and an item that was drawn to be judged."""

    query_id: int
    item_id: ItemId
    probability: float
    ranks: dict[str, int]  # by system, of those that returned it; empty if no system did


@dataclass(frozen=True, slots=True)
class PoolReport:
    """The counts of a pool."""

    queries: int
    items: int  # of the bundle
    systems: tuple[str, ...]
    pairs: int  # to judge
    found_by_one: dict[str, int]  # pairs that only this system returned
    no_longer_drawn: int  # pairs that have a grade, which counts no more


def open_pool(folder: SetFolder) -> Bundle:
    """Open the version of the bundle that was pooled; BadDataset if it is gone."""
    design = folder.pool()
    try:
        return Bundle.open(Path(design["bundle"]), design["version"])
    except CorruptBundle:
        raise BadDataset(
            f"{design['bundle']} no longer has the version {design['version']} that was pooled: "
            "restore it, or run `tusou evalset pool` into a new set"
        ) from None


def pool_systems(
    folder: SetFolder,
    bundle: Path,
    systems: Sequence[Path],
    drawing: Drawing,
    progress: Progress,
) -> PoolReport:
    """Search with every system, draw the pairs, and write them into the set.

    A system is a bundle of the same items, or a run file or TREC run of the set's queries. The
    items of `bundle` are the whole pool. Raises BadDataset for a system that is not of this pool,
    ids that TREC's files cannot hold, and another version of the bundle than was judged.
    """
    queries = folder.queries()
    opened = Bundle.open(bundle)
    judged = {(each.query_id, each.item_id) for each in folder.judgments(_JUDGED)}
    if judged and folder.pool()["version"] != opened.version:
        raise BadDataset(
            f"{folder.path} holds judgments of version {folder.pool()['version']}, and {bundle} is "
            f"at {opened.version}: pool it into a new set"
        )
    ids = [opened.ids.at(key) for key in range(len(opened.ids))]
    if blank := next((each for each in map(str, ids) if each.split() != [each]), None):
        raise BadDataset(f"the id {blank!r} has blanks in it, which TREC's files cannot hold")
    names = _name_systems(systems)
    runs = {
        name: _read_system(path, queries, folder.path, drawing.depth, progress)
        for name, path in zip(names, systems, strict=True)
    }
    rankings = {name: _positions_of(name, run, opened) for name, run in runs.items()}
    pairs = list(_draw_pairs(queries, rankings, ids, drawing))
    design: dict[str, Any] = {
        **asdict(drawing),
        "bundle": str(bundle.resolve()),
        "version": opened.version,
        "items": len(ids),
        "systems": {name: str(path) for name, path in zip(names, systems, strict=True)},
    }
    folder.write_pool(design, map(asdict, pairs))
    drawn = {(pair.query_id, pair.item_id) for pair in pairs}
    alone = {name: sum(list(pair.ranks) == [name] for pair in pairs) for name in names}
    return PoolReport(len(queries), len(ids), tuple(names), len(pairs), alone, len(judged - drawn))


def _name_systems(systems: Sequence[Path]) -> list[str]:
    """Return a short name for each system; BadDataset when one is given twice."""
    names = [path.stem if path.is_file() else path.name for path in systems]
    if len(set(names)) < len(names):
        names = [str(path) for path in systems]
    if len(set(names)) < len(names):
        raise BadDataset("--systems: one is given twice")
    return names


def _read_system(
    path: Path, queries: Sequence[PlannedQuery], name: Path, depth: int, progress: Progress
) -> Run:
    if (path / CURRENT).is_file():
        rows = (JudgedQuery(each.query_id, each.query_id, each.text, {}) for each in queries)
        count = len(Bundle.open(path).ids)
        spec = BundleSearchSpec(top_k=min(depth, count))
        return search_bundle(path, Judgments(name, tuple(rows)), spec, progress).run
    if not path.is_file():
        raise BadDataset(f"{path} is neither a bundle nor a file of rankings")
    run = read_run(path)
    if run.problems:
        line, problem = run.problems[0]
        raise BadDataset(f"{path}:{line}: {problem}")
    return run


def _positions_of(name: str, run: Run, bundle: Bundle) -> Callable[[int], Ids]:
    """Return a function from a query to the row keys that a run has for it.

    Raises BadDataset for an item that is not in the pool.
    """
    rankings: dict[str, Ids] = {}
    for query_id, items in run.rankings.items():
        keys = [bundle.ids.key(str(item)) for item in items]
        if None in keys:
            item = items[keys.index(None)]
            raise BadDataset(f"{name}: the item {item} of query {query_id} is not in the pool")
        rankings[str(query_id)] = np.array(keys, np.int64)

    def find(query_id: int) -> Ids:
        if str(query_id) not in rankings:
            raise BadDataset(f"{name} has no results for query {query_id}")
        return rankings[str(query_id)]

    return find


def _draw_pairs(
    queries: Sequence[PlannedQuery],
    rankings: Mapping[str, Callable[[int], Ids]],
    ids: Sequence[ItemId],
    drawing: Drawing,
) -> Iterator[PooledPair]:
    texts = list(map(str, ids))
    for query in queries:
        found = {name: find(query.query_id)[: drawing.depth] for name, find in rankings.items()}
        best = best_ranks(list(found.values()), drawing.depth)
        shares = probabilities(drawing, best, len(ids))
        places = {
            name: {key: rank for rank, key in enumerate(keys.tolist(), 1)}
            for name, keys in found.items()
        }
        for key in draw(drawing, query.text, texts, shares).tolist():
            ranks = {name: ranks[key] for name, ranks in places.items() if key in ranks}
            yield PooledPair(query.query_id, ids[key], float(shares[key]), ranks)
