"""Nearest neighbors of query vectors among the items that a query may return, ties included."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.indexes.base import FilteringIndex, SearchIndex, SelectingIndex
from tusou.retrieval.selection import Selection

# Repeats of a search with twice the neighbors, to see all items that tie at the end.
_TIE_ROUNDS = 3
# A filtered search asks for a little more neighbors than should hold the items needed.
_ROOM = 1.25
# A selection is compared item by item if it has fewer items than this, which takes as long as a
# search for 10 neighbors, or than this multiple of the neighbors that a search would return: each
# takes as long as 20 to 100 comparisons, since an index compares 8 to 32 candidates for it. Of
# 1,000,000 items, 24,000 are compared for a top 10. Measured with `benchmarks.filtered_search`.
_COMPARED_ITEMS = 2_000
_COMPARED_PER_NEIGHBOR = 32


@dataclass(frozen=True, slots=True, eq=False)
class NeighborRequest:
    """A search for the nearest selected items of one vector."""

    vector: Vectors  # (d,)
    count: int  # the length of the ranking
    selection: Selection | None = None  # None for all items of the index
    excluded: frozenset[int] = frozenset()  # further row keys not to return

    @property
    def needed(self) -> int:
        """The number of neighbors that hold the ranking, whichever of them are excluded."""
        return self.count + len(self.excluded)


class Ranking(NamedTuple):
    """Row keys and scores, best first, equal scores by key."""

    keys: list[int]
    scores: list[float]
    complete: bool  # whether no further item can be returned


Rankings: TypeAlias = dict[NeighborRequest, Ranking]
_BySelection: TypeAlias = dict[Selection, list[NeighborRequest]]
_Search: TypeAlias = Callable[[Vectors, int], Neighbors]


def find_neighbors(index: SearchIndex, requests: Sequence[NeighborRequest]) -> list[Ranking]:
    """Return at least the `count` nearest items of each request, or all that it selects.

    Items that tie with the last one needed are seen: which of several equal items an index returns
    changes with the number asked for, so the pages of one ranking would repeat some of them and
    lose others.

    A small selection is compared item by item, which is exact with every index type. For a large
    one the index is searched for more neighbors until enough of them are selected: that is as exact
    as the index is for that many neighbors.
    """
    unfiltered = [request for request in requests if request.selection is None]
    rankings = _search_all(index.search, len(index), unfiltered)
    if len(unfiltered) < len(requests):
        rankings |= _search_selected(index, requests)
    return [rankings[request] for request in requests]


def _search_selected(index: SearchIndex, requests: Sequence[NeighborRequest]) -> Rankings:
    """Return the rankings of those requests that have a selection."""
    filtering = index if isinstance(index, FilteringIndex) else None
    border = _border(index)
    by_index: _BySelection = defaultdict(list)
    small: _BySelection = defaultdict(list)
    large: list[NeighborRequest] = []
    for request in requests:
        if (selection := request.selection) is None:
            continue
        if filtering is not None and selection.filter is not None:
            by_index[selection].append(request)
        elif _is_small(selection, _first_width(request, selection), border):
            small[selection].append(request)
        else:
            large.append(request)
    rankings = _search_and_widen(index, large, small, border)
    for selection, group in small.items():
        rankings |= _compare_selected(index, selection, group)
    if filtering is not None:
        for selection, group in by_index.items():
            rankings |= _search_where(filtering, selection, group)
    return rankings


def _search_all(search: _Search, size: int, requests: Sequence[NeighborRequest]) -> Rankings:
    if not requests or not size:
        return {request: Ranking([], [], complete=True) for request in requests}
    counts = [request.needed for request in requests]
    neighbors = _search_with_ties(search, size, _stack(requests), counts)
    rows = zip(requests, neighbors.ids.tolist(), neighbors.scores.tolist(), strict=True)
    return {request: _ranking(request, keys, scores, size) for request, keys, scores in rows}


def _search_where(
    index: FilteringIndex, selection: Selection, requests: Sequence[NeighborRequest]
) -> Rankings:
    """Let the index select the items of requests with the same filter."""
    assert selection.filter is not None
    search = partial(index.search_where, selected=selection.filter)
    return _search_all(search, selection.count, requests)


def _search_with_ties(
    search: _Search, size: int, queries: Vectors, counts: Sequence[int]
) -> Neighbors:
    """Return at least `counts[i]` neighbors of the i-th query; all rows have the same width."""
    last_needed = np.minimum(counts, size)[:, None] - 1
    width = min(max(counts) + 1, size)  # one more shows whether the last one ties
    neighbors = search(queries, width)
    for _ in range(_TIE_ROUNDS):
        last = neighbors.scores[:, -1]
        ties = np.take_along_axis(neighbors.scores, last_needed, 1)[:, 0] == last
        if width == size or not ties[np.isfinite(last)].any():
            break
        width = min(2 * width, size)
        neighbors = search(queries, width)
    return neighbors


def _compare_selected(
    index: SearchIndex, selection: Selection, requests: Sequence[NeighborRequest]
) -> Rankings:
    """Return exact rankings of requests with the same selection."""
    if not selection.count:
        return {request: Ranking([], [], complete=True) for request in requests}
    width = min(max(request.needed for request in requests), selection.count)
    neighbors = index.search_among(_stack(requests), width, selection.keys)
    rows = zip(requests, neighbors.ids.tolist(), neighbors.scores.tolist(), strict=True)
    count = selection.count
    return {request: _ranking(request, keys, scores, count) for request, keys, scores in rows}


def _search_and_widen(
    index: SearchIndex,
    requests: Sequence[NeighborRequest],
    small: _BySelection,
    border: int,
) -> Rankings:
    """Return the rankings of requests that a search for enough neighbors decides.

    The others, for which comparing all selected items has become cheaper, are added to `small`.
    """
    rankings: Rankings = {}
    pending: dict[int, list[NeighborRequest]] = defaultdict(list)  # by the width of the search
    for request in requests:
        assert request.selection is not None
        pending[_first_width(request, request.selection)].append(request)
    while pending:
        width = min(pending)
        group = pending.pop(width)
        for request, (ranking, exhausted) in zip(
            group, _search_group(index, group, min(width, len(index))), strict=True
        ):
            selection = request.selection
            assert selection is not None
            if ranking is not None:
                rankings[request] = ranking
            elif exhausted or width >= len(index) or _is_small(selection, 2 * width, border):
                small[selection].append(request)
            else:
                pending[2 * width].append(request)
    return rankings


def _search_group(
    index: SearchIndex, requests: Sequence[NeighborRequest], width: int
) -> Iterator[tuple[Ranking | None, bool]]:
    """Yield the ranking of each request, None if a search of this width does not decide it.

    And whether a wider search would find no more.
    """
    selections = [request.selection for request in requests if request.selection is not None]
    if (selecting := _selecting(index)) is not None:
        counts = [request.needed for request in requests]
        masks = [selection.mask for selection in selections]
        rankings = selecting.search_selected(_stack(requests), counts, width, masks)
        for request, selection, best in zip(requests, selections, rankings, strict=True):
            if best is None:
                yield None, False
            else:
                keys, best_scores = best.ids[0].tolist(), best.scores[0].tolist()
                yield _ranking(request, keys, best_scores, selection.count), False
        return
    neighbors = index.search(_stack(requests), width)
    rows = zip(requests, selections, neighbors.ids, neighbors.scores, strict=True)
    for request, selection, row, scores in rows:
        yield _selected_ranking(request, selection, row, scores), bool(row[-1] < 0)


def _selected_ranking(
    request: NeighborRequest, selection: Selection, keys: Ids, scores: npt.NDArray[np.float32]
) -> Ranking | None:
    """Return the selected items of a row of neighbors, None if they do not decide the ranking.

    Further items may tie with the last neighbor, so it decides nothing unless the row holds all
    selected items.
    """
    passes = selection.mask[keys] & (keys >= 0)
    if np.count_nonzero(passes) < selection.count:
        passes &= scores > scores[-1]
        if np.count_nonzero(passes) < request.needed:
            return None
    return _ranking(request, keys[passes].tolist(), scores[passes].tolist(), selection.count)


def _ranking(request: NeighborRequest, keys: list[int], scores: list[float], size: int) -> Ranking:
    """Return the items needed from a row of neighbors, which may be padded with -1."""
    keys, scores = keys[: request.needed], scores[: request.needed]
    complete = request.needed >= size
    if request.excluded or (keys and keys[-1] < 0):
        shown = [key >= 0 and key not in request.excluded for key in keys]
        keys, scores = list(compress(keys, shown)), list(compress(scores, shown))
    return Ranking(keys, scores, complete)


def _first_width(request: NeighborRequest, selection: Selection) -> int:
    """Return the number of neighbors that should hold the items needed, of two digits in binary.

    Requests with nearly the same number are searched together.
    """
    share = selection.count / len(selection.mask)
    expected = int(_ROOM * request.needed / share) if share else len(selection.mask)
    unit = max(1 << expected.bit_length() >> 3, 1)
    return (expected // unit + 1) * unit


def _is_small(selection: Selection, width: int, border: int) -> bool:
    """Return whether comparing all selected items is cheaper than a search of this width."""
    return selection.count <= max(_COMPARED_ITEMS, border * width)


def _border(index: SearchIndex) -> int:
    """Return how many comparisons take as long as a neighbor of a wider search."""
    return _COMPARED_PER_NEIGHBOR // (2 if _selecting(index) else 1)


def _selecting(index: SearchIndex) -> SelectingIndex | None:
    return index if isinstance(index, SelectingIndex) and index.compares_candidates else None


def _stack(requests: Sequence[NeighborRequest]) -> Vectors:
    return np.stack([request.vector for request in requests])
