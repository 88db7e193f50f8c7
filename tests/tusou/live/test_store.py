"""The store of live changes: durable, visible at once, and right over every version."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from live_bundle import ATTRIBUTES, CONTENTS, IDS, VECTORS

from benchmarks.vector_bundle import MODEL, unit_vectors, write_vector_bundle
from tusou.attributes.filters import parse_filter
from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Vectors
from tusou.core.errors import (
    IncompatibleBundle,
    InvalidRequest,
    Locked,
    StorageFull,
    UnknownItem,
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


def test_without_changes_the_version_is_seen_as_it_is(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    snapshot = store.snapshot
    assert snapshot.index_version == f"{bundle.version}+0"
    assert (snapshot.size, snapshot.item_count, snapshot.position) == (5, 5, 0)
    assert [snapshot.id_at(key) for key in range(5)] == IDS
    assert snapshot.attribute_rows(range(5)) == ATTRIBUTES
    assert snapshot.image("1.jpg#zhc#0") == (CONTENTS[0], "image/jpeg")
    assert (snapshot.search(VECTORS[:2], 3).ids == -1).all()
    store.close()


def test_a_new_item_is_found_by_the_next_search(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    (outcome,) = store.change(upsert("新款.jpg", 1, title="新款", price=5))
    assert (outcome.item_id, outcome.status) == ("新款.jpg", "created")
    snapshot = store.snapshot
    assert snapshot.index_version == f"{bundle.version}+1"
    found = snapshot.search(NEW[:3], 2)
    assert found.ids.tolist() == [[5, -1]] * 3
    np.testing.assert_allclose(found.scores[:, 0], NEW[:3] @ NEW[1], atol=1e-6)
    assert np.isneginf(found.scores[:, 1]).all()
    assert snapshot.key("新款.jpg") == 5
    assert snapshot.id_at(5) == "新款.jpg"
    assert snapshot.image("新款.jpg") == (JPEG + b"1", "image/jpeg")
    assert snapshot.item_attributes("新款.jpg") == {"title": "新款", "price": 5.0}
    assert snapshot.etag("新款.jpg") == outcome.etag
    np.testing.assert_array_equal(snapshot.vector("新款.jpg"), NEW[1])
    store.close()


def test_replacing_an_item_of_the_version_removes_its_row(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    before = store.snapshot
    (outcome,) = store.change(upsert("0007", 2))
    assert outcome.status == "replaced"
    snapshot = store.snapshot
    assert snapshot.removed.tolist() == [False, False, False, True, False]
    assert (snapshot.key("0007"), snapshot.item_count) == (5, 5)
    assert snapshot.item_attributes("0007") == {}
    store.change(upsert("0007", 3))
    assert store.snapshot.key("0007") == 6
    assert store.snapshot.search(NEW[2:3], 5).ids.tolist() == [[6, -1, -1, -1, -1]]
    # Earlier snapshots stay what they were.
    assert (before.key("0007"), before.item_count) == (3, 5)
    assert (snapshot.key("0007"), snapshot.image("0007")[0]) == (5, JPEG + b"2")
    store.close()


def test_a_deleted_item_is_gone_and_may_come_back(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    assert [o.status for o in store.change(Delete("10"), Delete("absent"))] == ["deleted", "absent"]
    assert ids(store) == {*IDS} - {"10"}
    for look_up in (store.snapshot.key, store.snapshot.image, store.snapshot.etag):
        with pytest.raises(UnknownItem):
            look_up("10")
    store.change(upsert("10", 4))
    assert ids(store) == {*IDS}
    store.change(Delete("10"))
    store.close()
    store = LiveStore(tmp_path / "b", bundle)
    assert ids(store) == {*IDS} - {"10"}
    assert (store.snapshot.search(NEW[4:5], 1).ids == -1).all()
    store.close()


def test_deleting_what_is_not_there_writes_nothing(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    store.change(Delete("absent"))
    assert (store.position, store.snapshot.position) == (0, 0)
    store.close()


def test_a_patched_item_keeps_its_row_its_vector_and_its_image(
    bundle: Bundle, tmp_path: Path
) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    etag = store.snapshot.etag("1.jpg#zhc#0")
    (outcome,) = store.change(
        Patch("1.jpg#zhc#0", {"price": 88, "title": None, "tags": ["夏季", "夏季", "红"]})
    )
    snapshot = store.snapshot
    assert snapshot.key("1.jpg#zhc#0") == 0
    assert snapshot.item_attributes("1.jpg#zhc#0") == {
        "stock": 3,
        "price": 88.0,
        "tags": ["夏季", "红"],
    }
    assert snapshot.attribute_rows([1, 0], ["price", "tags"]) == [
        {"price": 129.5},
        {"price": 88.0, "tags": ["夏季", "红"]},
    ]
    assert snapshot.image("1.jpg#zhc#0")[0] == CONTENTS[0]
    assert outcome.etag == snapshot.etag("1.jpg#zhc#0") != etag
    store.change(upsert("new", 1, price=1), Patch("new", {"price": 2}))
    assert store.snapshot.item_attributes("new") == {"price": 2.0}
    assert store.snapshot.live_keys.tolist() == [5]
    store.close()


def test_filters_facets_and_codes_see_the_changes(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    store.change(
        Patch("0007", {"price": 10}),
        Patch("10", {"title": "凉鞋"}),
        upsert("new", 1, title="皮鞋", price=99, colour="红"),
        Delete("1.jpg#zhc#1"),
    )
    snapshot = store.snapshot

    def passing(selected: object) -> list[int]:
        return np.flatnonzero(snapshot.mask(parse_filter(selected))).tolist()

    assert passing({"price": {"$lte": 99}}) == [0, 3, 5]
    assert passing({"title": "皮鞋"}) == [2, 5]
    assert passing({"title": {"$ne": "皮鞋"}}) == [0, 3, 4]
    assert passing({"colour": "红"}) == [5]
    assert passing({"colour": {"$ne": "红"}}) == [0, 2, 3, 4]
    assert passing({"$not": {"colour": {"$exists": False}}}) == [5]
    assert passing({"$or": [{"colour": {"$in": ["红", "蓝"]}}, {"stock": 12}]}) == [4, 5]
    assert snapshot.facet("title") == [("皮鞋", 2), ("凉鞋", 1), ("碎花连衣裙", 1)]
    assert snapshot.facet("title", limit=1) == [("皮鞋", 2)]
    assert snapshot.facet("title", snapshot.mask(parse_filter({"price": 99}))) == [
        ("皮鞋", 1),
        ("碎花连衣裙", 1),
    ]
    codes = snapshot.codes("title")
    assert len(codes) == 6
    assert codes[2] == codes[5]
    assert codes[0] == codes[1]  # the second is removed
    assert len({*codes.tolist()}) == 4
    with pytest.raises(InvalidRequest):
        snapshot.mask(parse_filter({"unknown": 1}))
    store.close()


def test_a_batch_is_applied_as_a_whole_or_not_at_all(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    good, bad, late = store.change_many(
        [
            [upsert("a", 1), upsert("b", 2)],
            [upsert("c", 3), Patch("absent", {})],
            [Patch("a", {"price": 3})],
        ]
    )
    assert not isinstance(good, Exception)
    assert [outcome.status for outcome in good] == ["created", "created"]
    assert isinstance(bad, UnknownItem)
    assert not isinstance(late, Exception)
    assert late[0].etag == store.snapshot.etag("a")
    assert ids(store) == {*IDS, "a", "b"}
    assert store.position == 2
    store.close()


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"price": "cheap"}, "“price”"),
        ({"stock": "3"}, "“stock”"),
        ({"stock": True}, "“stock”"),
        ({"price": float("nan")}, "“price”"),
        ({"title": "\ud800"}, "“title”"),
        ({"new": {"a": 1}}, "“new”"),
        ({"new": [1, 2]}, "“new”"),
        ({"$ne": 1}, "“$ne”"),
        ({"": 1}, "name"),
    ],
)
def test_a_wrong_attribute_is_named_and_nothing_is_written(
    bundle: Bundle, tmp_path: Path, attributes: dict[str, object], named: str
) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    for operation in (Patch("10", attributes), Upsert("x", b"x", NEW[0], MODEL, attributes)):  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest) as caught:
            store.change(operation)
        assert named in caught.value.details[0].detail
    assert store.position == 0
    store.close()


def test_a_fraction_turns_integers_into_numbers(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    etag = store.snapshot.etag("1.jpg#zhc#0")
    assert store.snapshot.schema["stock"] == "integer"
    store.change(Patch("10", {"stock": 2.5}))
    snapshot = store.snapshot
    assert snapshot.schema["stock"] == "number"
    assert snapshot.item_attributes("10")["stock"] == 2.5
    key = snapshot.key("10")
    passing = snapshot.mask(parse_filter({"stock": {"$gt": 2, "$lt": 4}}))
    assert passing[key]
    assert passing[snapshot.key("1.jpg#zhc#0")]  # 3, as before
    assert snapshot.etag("1.jpg#zhc#0") == etag
    store.close()
    again = LiveStore(tmp_path / "b", bundle).snapshot
    assert (again.schema, again.item_attributes("10")["stock"]) == (snapshot.schema, 2.5)


def test_the_type_of_a_new_attribute_is_that_of_its_first_value(
    bundle: Bundle, tmp_path: Path
) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    store.change(upsert("a", 1, weight=5, until="2026-12-31", tags=[], new=True))
    with pytest.raises(InvalidRequest):
        store.change(Patch("a", {"until": "soon"}))
    store.change(Patch("a", {"weight": 5.5}))
    store.close()
    store = LiveStore(tmp_path / "b", bundle)
    assert store.snapshot.schema == {
        "title": "string",
        "price": "number",
        "stock": "integer",
        "weight": "number",
        "until": "date",
        "tags": "strings",
        "new": "boolean",
    }
    store.close()


@pytest.mark.parametrize("item_id", ["", " a", "a\nb", "a" * 257, "\ud800"])
def test_an_id_that_no_item_can_have_is_refused(
    bundle: Bundle, tmp_path: Path, item_id: str
) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    with pytest.raises(InvalidRequest):
        store.change(upsert(item_id))
    store.close()


def test_integer_ids_stay_integers(tmp_path: Path) -> None:
    bundle = write_vector_bundle(tmp_path / "b", ["7", "10"], VECTORS[:2], CONTENTS[:2])
    store = LiveStore(tmp_path / "b", bundle)
    for item_id in ("007", "a", "-1", "1.0"):
        with pytest.raises(InvalidRequest):
            store.change(upsert(item_id))
    store.change(upsert("12"))
    assert ids(store) == {7, 10, 12}
    store.close()


@pytest.mark.parametrize("vector", [NEW[0] * 2, NEW[0, :8], NEW[0] * np.float32("nan")])
def test_a_wrong_vector_is_refused(bundle: Bundle, tmp_path: Path, vector: Vectors) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    with pytest.raises(InvalidRequest):
        store.change(Upsert("a", b"a", vector, MODEL, {}))
    store.close()


def test_a_full_disk_changes_nothing_that_is_seen(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    store.change(upsert("a", 1))
    before = store.snapshot

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageFull):
        store.change(upsert("b", 2))
    monkeypatch.undo()
    assert store.snapshot is before
    store.change(upsert("c", 3))
    assert ids(store) == {*IDS, "a", "c"}
    store.close()


def test_two_stores_of_one_bundle_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    with pytest.raises(Locked):
        LiveStore(tmp_path / "b", bundle)
    store.close()


def test_items_of_another_model_are_encoded_again_from_their_contents(
    bundle: Bundle, tmp_path: Path
) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    store.change(*(upsert(f"{n}.jpg", n) for n in range(1, 40)))
    store.change(Delete("1.jpg"))
    store.close()
    other = write_vector_bundle(tmp_path / "b", IDS, VECTORS, CONTENTS, model="cd" * 32)
    encoded: list[bytes] = []

    def encode(contents: Sequence[bytes]) -> Vectors:
        encoded.extend(contents)
        return np.stack([-NEW[int(content[3:])] for content in contents])

    with pytest.raises(IncompatibleBundle, match="38 live items"):
        LiveStore(tmp_path / "b", other)
    store = LiveStore(tmp_path / "b", other, encode)
    assert encoded == [JPEG + str(n).encode() for n in range(2, 40)]
    np.testing.assert_array_equal(store.snapshot.vector("3.jpg"), -NEW[3])
    store.close()


def test_changes_are_seen_in_all_attached_versions(bundle: Bundle, tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "b", bundle)
    store.change(upsert("a", 1), Delete("10"))
    other = write_vector_bundle(tmp_path / "b", ["10", "z"], VECTORS[:2], CONTENTS[:2])
    items = store.attach(other)
    assert {i for _, i in items.snapshot.ids(items.snapshot.visible)} == {"z", "a"}
    store.change(upsert("b", 2))
    assert {i for _, i in items.snapshot.ids(items.snapshot.visible)} == {"z", "a", "b"}
    assert store.snapshot is items.snapshot
    store.detach(bundle.version)
    store.change(Delete("b"))
    assert {i for _, i in items.snapshot.ids(items.snapshot.visible)} == {"z", "a"}
    store.close()


def test_replacing_an_item_many_times_keeps_few_rows(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusou.live.live_items._LEAST_DEAD_ROWS", 8)
    store = LiveStore(tmp_path / "b", bundle)
    store.change(Patch("10", {"title": "凉鞋"}), upsert("a", 0))
    for n in range(1, 40):
        store.change(upsert("b", n, price=n))
    snapshot = store.snapshot
    assert snapshot.size <= 5 + 2 + 9
    assert snapshot.item_attributes("b") == {"price": 39.0}
    assert snapshot.item_attributes("10") == {"title": "凉鞋", "price": 300.0, "stock": 12}
    assert snapshot.id_at(int(snapshot.search(NEW[39:40], 1).ids[0, 0])) == "b"
    assert snapshot.image("a")[0] == JPEG + b"0"
    store.close()
