"""Pools what several systems return for the queries of a set, and draws the pairs to judge."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.arrays import Ids
from tusou.core.errors import BadDataset, CorruptBundle, InvalidRequest
from tusou.core.ids import ItemId
from tusou_lab.evalset.drawing import Drawing, best_ranks, draw, probabilities
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pooled_systems import PooledQueries, open_systems
from tusou_lab.evalset.set_folder import SetFolder


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
            "restore it, or run `tusou evalset pool` in a new set"
        ) from None


def pool_systems(
    folder: SetFolder,
    bundle: Path,
    systems: Sequence[Path],
    drawing: Drawing,
    progress: Progress,
    titles: Sequence[str] = (),
    *,
    interpret: bool = True,
) -> PoolReport:
    """Search with every system, draw the pairs, and write them into the set.

    A system is a bundle of the same items, or a run file or TREC run of the set's queries; each of
    `titles` is an attribute of `bundle` that is searched lexically. The items of `bundle` are the
    whole pool. With `interpret`, bundles and titles are searched without what a query refuses.

    Raises InvalidRequest without a system, and BadDataset for one that is not of this pool, ids
    that TREC's files cannot hold, and another version of the bundle than was judged.
    """
    if not systems and not titles:
        raise InvalidRequest("give --systems, --lexical or both: there is nothing to pool")
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
        raise BadDataset(f"the id {blank!r} contains spaces, which TREC files cannot hold")
    pooled = PooledQueries(folder.path, queries, interpret=interpret)
    opened_systems = list(open_systems(opened, systems, titles, pooled, drawing.depth, progress))
    names = [system.name for system in opened_systems]
    rankings = {system.name: system.find for system in opened_systems}
    pairs = list(_draw_pairs(queries, rankings, ids, drawing))
    design: dict[str, Any] = {
        **asdict(drawing),
        "bundle": str(bundle.resolve()),
        "version": opened.version,
        "items": len(ids),
        "interpret": interpret,
        "systems": {system.name: system.source for system in opened_systems},
        "models": {system.name: system.models for system in opened_systems},
    }
    folder.write_pool(design, map(asdict, pairs))
    drawn = {(pair.query_id, pair.item_id) for pair in pairs}
    alone = {name: sum(list(pair.ranks) == [name] for pair in pairs) for name in names}
    return PoolReport(len(queries), len(ids), tuple(names), len(pairs), alone, len(judged - drawn))


def _draw_pairs(
    queries: Sequence[PlannedQuery],
    rankings: Mapping[str, Callable[[int], Ids]],
    ids: Sequence[ItemId],
    drawing: Drawing,
) -> Iterator[PooledPair]:
    texts = list(map(str, ids))
    for query in queries:
        candidates = {
            name: find(query.query_id)[: drawing.depth] for name, find in rankings.items()
        }
        best = best_ranks(list(candidates.values()), drawing.depth)
        shares = probabilities(drawing, best, len(ids))
        places = {
            name: {key: rank for rank, key in enumerate(keys.tolist(), 1)}
            for name, keys in candidates.items()
        }
        for key in draw(drawing, query.text, texts, shares).tolist():
            ranks = {name: ranks[key] for name, ranks in places.items() if key in ranks}
            yield PooledPair(query.query_id, ids[key], float(shares[key]), ranks)
