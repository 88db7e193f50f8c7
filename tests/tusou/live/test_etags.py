"""ETags of items: conditions of a change, and what tells two states of an item apart."""

from dataclasses import replace
from pathlib import Path

import pytest
from live_bundle import CONTENTS, IDS, VECTORS

from benchmarks.vector_bundle import MODEL, unit_vectors
from tusou.bundle.bundle import Bundle
from tusou.core.errors import (
    PreconditionFailed,
)
from tusou.live.operations import Delete, Patch, Upsert
from tusou.live.store import LiveStore

NEW = unit_vectors(40, seed=9)
JPEG = b"\xff\xd8\xff"


def upsert(item_id: str, number: int = 0, **attributes: object) -> Upsert:
    return Upsert(item_id, JPEG + str(number).encode(), NEW[number], MODEL, attributes)  # type: ignore[arg-type]


def ids(store: LiveStore) -> set[object]:
    snapshot = store.snapshot
    return {item_id for _, item_id in snapshot.ids(snapshot.visible)}


@pytest.mark.parametrize("status", ["matching", "any", "other", "absent"])
def test_if_match_is_compared_with_the_etag(bundle: Bundle, tmp_path: Path, status: str) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    etag = frozenset([{"any": "*", "other": "0" * 32}.get(status, store.snapshot.etag("10"))])
    item_id = "absent" if status == "absent" else "10"
    if status in ("matching", "any"):
        store.change(Delete(item_id, etag))
        assert "10" not in ids(store)
    else:
        with pytest.raises(PreconditionFailed):
            store.change(Delete(item_id, etag))
        assert store.position == 0
    store.close()


def test_one_of_several_etags_is_enough(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    store.change(Patch("10", {"price": 1}, frozenset(["0" * 32, store.snapshot.etag("10")])))
    with pytest.raises(PreconditionFailed):
        store.change(Patch("10", {"price": 2}, frozenset(["0" * 32, "1" * 32])))
    assert store.snapshot.item_attributes("10")["price"] == 1
    store.close()


def test_the_etag_tells_vectors_of_the_same_image_apart(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    etags = list[str | None]()
    for number in (1, 2, 1):
        (outcome,) = store.change(Upsert("new", JPEG, NEW[number], MODEL, {"price": 5}))
        assert outcome.etag == store.snapshot.etag("new")
        etags.append(outcome.etag)
    assert etags[0] == etags[2] != etags[1]
    # The same holds for the version's items, and within the batches of one write.
    same = Upsert("10", CONTENTS[IDS.index("10")], VECTORS[IDS.index("10")], MODEL, {})
    before = store.snapshot.etag("10")
    attributes = store.snapshot.item_attributes("10")
    (unchanged,) = store.change(replace(same, attributes=attributes))
    assert unchanged.etag == before
    other = replace(same, vector=NEW[3], attributes=attributes)
    with pytest.raises(PreconditionFailed):
        store.change(other, Delete("10", frozenset([before])))
    assert store.snapshot.etag("10") == before
    store.close()
