"""Hits as a sequence, and as rows."""

import json
from dataclasses import replace

import pytest

from tusou.core.hits import Hit, Hits

HITS = Hits((7, "裙-2.jpg", 9), (0.5, 0.25, 0.125), truncated=True, index_version="v1")
ROWS = [Hit(1, 7, 0.5), Hit(2, "裙-2.jpg", 0.25), Hit(3, 9, 0.125)]


def test_iterating_yields_rank_item_id_and_score() -> None:
    assert list(HITS) == ROWS
    assert [rank for rank, _, _ in HITS] == [1, 2, 3]
    assert list(reversed(HITS)) == ROWS[::-1]


def test_the_length_is_the_number_of_items() -> None:
    assert len(HITS) == 3
    assert not Hits((), ())


def test_a_position_counts_from_0_or_from_the_end() -> None:
    assert HITS[0] == ROWS[0]
    assert HITS[-1] == ROWS[2]
    for position in (3, -4):
        with pytest.raises(IndexError):
            HITS[position]


def test_a_slice_is_hits_with_the_same_context() -> None:
    assert HITS[1:] == Hits(("裙-2.jpg", 9), (0.25, 0.125), truncated=True, index_version="v1")
    assert [hit.rank for hit in HITS[1:]] == [1, 2]


def test_a_slice_keeps_attributes_and_others_beside_their_items() -> None:
    whole = replace(HITS, attributes=({"title": "裙"}, {}, {"title": "鞋"}), others=(2, 0, 1))
    assert whole[1:].attributes == ({}, {"title": "鞋"})
    assert whole[1:].others == (0, 1)
    assert whole[:1].to_rows() == [
        {"rank": 1, "item_id": 7, "score": 0.5, "attributes": {"title": "裙"}, "others": 2}
    ]


def test_rows_are_json() -> None:
    assert HITS[:2].to_rows() == [
        {"rank": 1, "item_id": 7, "score": 0.5},
        {"rank": 2, "item_id": "裙-2.jpg", "score": 0.25},
    ]
    assert json.loads(json.dumps(HITS.to_rows())) == HITS.to_rows()


def test_hits_are_values() -> None:
    assert hash(HITS) == hash(HITS[:])
    counted = replace(HITS, facets={"category": [("裙", 2)]}, attributes=({}, {}, {}))
    assert len({counted, counted[:], HITS}) == 2
    with pytest.raises(AttributeError):
        HITS.truncated = False  # type: ignore[misc]
