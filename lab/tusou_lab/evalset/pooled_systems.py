"""The systems whose results are pooled: bundles, run files, and lexical search over titles."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.cli.progress import Progress
from tusou.core.arrays import Ids
from tusou.core.errors import BadDataset
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.evaluation.runs import Run, read_run
from tusou.text.negation import parse_negation
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.title_search import open_title_index
from tusou_lab.evaluate.search_bundle import BundleSearchSpec, search_bundle

LEXICAL = "lexical:"  # begins the name of a lexical search, before the attribute


@dataclass(frozen=True, slots=True)
class PooledQueries:
    """The queries of a set, and how they are read."""

    path: Path  # of the set
    queries: Sequence[PlannedQuery]
    interpret: bool = True  # subtract what a text refuses, as the service does by default


@dataclass(frozen=True, slots=True)
class PooledSystem:
    """A system with its results."""

    name: str
    source: str  # where the results come from
    models: tuple[str, ...]  # digests of a bundle's models, or the name that a run file has
    find: Callable[[int], Ids]  # from a query to row keys of the pool, best first


def open_systems(
    bundle: Bundle,
    systems: Sequence[Path],
    titles: Sequence[str],
    queries: PooledQueries,
    depth: int,
    progress: Progress,
) -> Iterator[PooledSystem]:
    """Search with every system, to the depth of the pool.

    `titles` are attributes of `bundle` to search lexically. Raises BadDataset for a system that is
    not of this pool, or that is given twice.
    """
    for name, path in zip(_name_systems(systems), systems, strict=True):
        run, models = _read_system(path, queries, depth, progress)
        yield PooledSystem(name, str(path), models, _positions_of(name, run, bundle))
    if len(set(titles)) < len(titles):
        raise BadDataset("--lexical: an attribute is given twice")
    for title in titles:
        find = _search_titles(bundle, title, queries, depth, progress)
        yield PooledSystem(LEXICAL + title, f"BM25 of the attribute {title}", (), find)


def model_digests(bundle: Bundle) -> tuple[str, ...]:
    """Return the digests of the models that made the vectors of a bundle."""
    return tuple(member.sha256 for member in bundle.manifest.model.parts)


def _name_systems(systems: Sequence[Path]) -> list[str]:
    """Return a short name for each system; BadDataset when one is given twice."""
    names = [path.stem if path.is_file() else path.name for path in systems]
    if len(set(names)) < len(names):
        names = [str(path) for path in systems]
    if len(set(names)) < len(names):
        raise BadDataset("--systems: a system is given twice")
    return names


def _read_system(
    path: Path, pooled: PooledQueries, depth: int, progress: Progress
) -> tuple[Run, tuple[str, ...]]:
    if (path / CURRENT).is_file():
        rows = (JudgedQuery(each.query_id, each.query_id, each.text, {}) for each in pooled.queries)
        opened = Bundle.open(path)
        spec = BundleSearchSpec(min(depth, len(opened.ids)), pooled.interpret)
        run = search_bundle(path, Judgments(pooled.path, tuple(rows)), spec, progress).run
        return run, model_digests(opened)
    if not path.is_file():
        raise BadDataset(f"{path} is neither a bundle nor a file of rankings")
    run = read_run(path)
    if run.problems:
        line, problem = run.problems[0]
        raise BadDataset(f"{path}:{line}: {problem}")
    model = run.header.model if run.header else None
    return run, (model,) if model else ()


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


def _search_titles(
    bundle: Bundle, title: str, pooled: PooledQueries, depth: int, progress: Progress
) -> Callable[[int], Ids]:
    """Search the titles for what each query asks for, or for its words as written."""
    index = open_title_index(bundle, title)
    progress.begin(f"searching {title}", len(pooled.queries))
    found: dict[int, Ids] = {}
    for query in pooled.queries:
        understood = parse_negation(query.text) if pooled.interpret else None
        text = query.text if understood is None else understood.positive
        found[query.query_id] = index.search(text, depth)
        progress.advance()
    return found.__getitem__
