"""Pages of hits: parts of rankings, grouped if asked for, with what is asked about the items."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from tusou.core.arrays import Vectors
from tusou.core.hits import Hits
from tusou.retrieval.grouping import BothGroupings, Grouping, NearDuplicates
from tusou.retrieval.query import Query
from tusou.retrieval.relevance import RelevanceJudge
from tusou.retrieval.retriever import NeighborRequest, Ranking, find_neighbors
from tusou.retrieval.searched_items import SearchedItems
from tusou.retrieval.selection import Selection

# A ranking with too few groups for its page is searched for this many times as many items.
_MORE = 4


@dataclass(frozen=True, slots=True, eq=False)
class PreparedQuery:
    """A query as one vector, and the row keys that it must not return."""

    query: Query
    vector: Vectors  # (d,)
    excluded_keys: frozenset[int]
    truncated: bool
    moved: Vectors | None = None  # (d,): what is searched for instead of the vector
    depth: int = 0  # hits that a reranker scores; 0 without one
    judge: RelevanceJudge | None = None  # None: hits have no relevance
    unknown_share: float = 0.0

    @property
    def page(self) -> slice:
        """The hits to return: the query's page, or all that a reranker may move onto it."""
        end = self.query.offset + self.query.top_k
        return slice(0, max(end, self.depth)) if self.depth else slice(self.query.offset, end)


class FoundPage(NamedTuple):
    """A page of hits, and their row keys."""

    hits: Hits
    keys: list[int]


@dataclass(slots=True, eq=False)
class _Page:
    """A page that is being searched for."""

    prepared: PreparedQuery
    selection: Selection | None
    grouping: Grouping | None
    count: int  # the items of the ranking
    found: FoundPage | None = None
    softened: bool = False  # whether an inverted softmax has reordered the ranking

    def request(self, items: SearchedItems) -> NeighborRequest:
        prepared = self.prepared
        vector = prepared.vector if prepared.moved is None else prepared.moved
        searched = items.as_query(vector, adjust=prepared.query.adjust)
        return NeighborRequest(searched, self.count, self.selection, prepared.excluded_keys)

    def cut(self, ranking: Ranking) -> tuple[list[int], list[float]] | None:
        """Return keys and scores of the hits to the page's end; None if they cannot be told yet."""
        end = self.prepared.page.stop
        if self.grouping is None:
            return ranking.keys[:end], ranking.scores[:end]
        shown = self.grouping.shown(ranking.keys, end)
        if len(shown) < end and not ranking.complete:
            return None
        return [ranking.keys[n] for n in shown], [ranking.scores[n] for n in shown]


def find_pages(items: SearchedItems, prepared: Sequence[PreparedQuery]) -> list[FoundPage]:
    """Return the page of each query: a part of one ranking, ties by row key.

    A grouped ranking is searched for more items until the page can no longer change.
    """
    depth = items.softmax.depth if items.softmax is not None else 0
    pages = [
        _Page(
            each,
            items.selection(each.query),
            _grouping(items, each.query),
            max(each.page.stop, depth if each.query.adjust else 0),
        )
        for each in prepared
    ]
    while pending := [page for page in pages if page.found is None]:
        rankings = find_neighbors(items.index, [page.request(items) for page in pending])
        for page, ranking in zip(pending, rankings, strict=True):
            cut = page.cut(_soften(items, page, ranking))
            if cut is None:
                page.count *= _MORE
            else:
                page.found = _found_page(items, page, *cut)
    return [page.found for page in pages if page.found is not None]


def _soften(items: SearchedItems, page: _Page, ranking: Ranking) -> Ranking:
    """Return a ranking whose first items are ordered by inverted softmax, if there is one.

    The others keep their order, and all have the scores of one kind.
    """
    stage, prepared = items.softmax, page.prepared
    if stage is None or not prepared.query.adjust or not stage.applies(ranking.keys):
        return ranking
    page.softened = True
    vectors = items.vectors(ranking.keys)
    cosines = np.einsum("nd,d->n", vectors, prepared.vector)
    scores = stage.scores(ranking.keys, vectors, cosines)
    order = np.arange(len(scores))
    first = np.array(ranking.keys[: stage.depth])
    order[: len(first)] = np.lexsort((first, -scores[: len(first)]))
    keys = [ranking.keys[position] for position in order]
    return ranking._replace(keys=keys, scores=scores[order].tolist())


def _grouping(items: SearchedItems, query: Query) -> Grouping | None:
    values = items.value_groups(query.distinct) if query.distinct is not None else None
    if not query.collapse:
        return values
    plain = partial(items.as_query, adjust=False)
    duplicates = NearDuplicates(items.index, items.vectors, plain)
    return duplicates if values is None else BothGroupings(values, duplicates)


def _found_page(
    items: SearchedItems, page: _Page, keys: list[int], scores: list[float]
) -> FoundPage:
    """Return the page, from the hits to its end."""
    prepared = page.prepared
    shown = prepared.page
    if prepared.judge is None or prepared.depth:  # judged when it has been reranked
        keys, scores = keys[shown], scores[shown]
        return FoundPage(_hits(items, page, keys, *_cosines(items, page, keys, scores)), keys)
    cosines, adjusted = _cosines(items, page, keys, scores)
    judged = prepared.judge.judge(cosines, adjusted)
    shown = judged.cut(shown)
    hits = _hits(items, page, keys[shown], cosines[shown], adjusted[shown])
    return FoundPage(judged.add_to(hits, shown), keys[shown])


def _hits(
    items: SearchedItems,
    page: _Page,
    keys: list[int],
    cosines: tuple[float, ...],
    adjusted: tuple[float, ...],
) -> Hits:
    query, understood = page.prepared.query, page.prepared.query.understood
    hits = Hits(
        tuple(map(items.item_id, keys)),
        cosines,
        page.prepared.truncated,
        items.version,
        understood.positive if understood else None,
        "、".join(understood.refused) if understood else None,
        unknown_share=page.prepared.unknown_share,
    )
    if adjusted:
        hits = replace(hits, adjusted_scores=adjusted)
    if query.explain:
        hits = replace(hits, stage_scores=_stage_scores(cosines, adjusted))
    if query.fields:
        hits = replace(hits, attributes=tuple(items.attribute_rows(keys, query.fields)))
    if page.grouping is not None:
        assert page.selection is not None  # a grouped ranking is always one of selected items
        groups = page.grouping.members(keys, page.selection)
        excluded = list(page.prepared.excluded_keys)
        others = (np.count_nonzero(~np.isin(group, excluded)) - 1 for group in groups)
        hits = replace(hits, others=tuple(map(int, others)))
    if query.filter is not None or query.facets:
        facets = {name: items.facet(name, query.filter) for name in query.facets}
        matching_items = len(items) if page.selection is None else page.selection.count
        hits = replace(hits, facets=facets, matching_items=matching_items)
    return hits


def _cosines(
    items: SearchedItems, page: _Page, keys: list[int], scores: list[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the cosines of a page's items, and the scores of their order where those differ."""
    prepared = page.prepared
    if prepared.moved is None and not page.softened:
        if items.bias is None or not prepared.query.adjust:
            return tuple(scores), ()
        cosines = np.array(scores, np.float32) + items.bias[keys]
        return tuple(cosines.tolist()), tuple(scores)
    cosines = np.einsum("nd,d->n", items.vectors(keys), prepared.vector)
    return tuple(cosines.tolist()), tuple(scores)


def _stage_scores(
    cosines: tuple[float, ...], adjusted: tuple[float, ...]
) -> tuple[dict[str, float], ...]:
    if not adjusted:
        return tuple({"retrieve": cosine} for cosine in cosines)
    pairs = zip(cosines, adjusted, strict=True)
    return tuple({"retrieve": cosine, "adjust": score} for cosine, score in pairs)
