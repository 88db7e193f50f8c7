"""Compaction: the next version holds the live changes, and its answers are those of before."""

import errno
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from calibrated import add_calibration, make_calibration
from live_bundle import ATTRIBUTES, CONTENTS, IDS, SCHEMA, VECTORS
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.compact import CompactReport, compact
from tusou_indexer.publish import publish

from benchmarks.live_model import answers
from benchmarks.reliability.disk_faults import Killed, disk_fault
from benchmarks.vector_bundle import MODEL, unit_vectors, write_vector_bundle
from tusou.bundle.bundle import Bundle, current_version
from tusou.bundle.manifest import LIVE_IMAGES
from tusou.bundle.publication import lock_bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import (
    CorruptBundle,
    IncompatibleBundle,
    InvalidRequest,
    Locked,
    OutputExists,
)
from tusou.live.log import LiveLog
from tusou.live.log_file import log_path
from tusou.live.operations import Delete, Patch, Upsert
from tusou.live.store import LiveStore

pytestmark = pytest.mark.services

NEW = unit_vectors(20, seed=9)
QUERIES = unit_vectors(8, seed=4)
JPEG = b"\xff\xd8\xff"
STRIDE = 6  # every call would take minutes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Publish the five items as `tmp_path/b`."""
    write_vector_bundle(tmp_path / "b", IDS, VECTORS, CONTENTS, SCHEMA, ATTRIBUTES)
    return tmp_path / "b"


def upsert(item_id: str, number: int, **attributes: object) -> Upsert:
    return Upsert(item_id, JPEG + str(number).encode(), NEW[number], MODEL, attributes)  # type: ignore[arg-type]


def change(root: Path) -> dict[str, object]:
    """Make changes of every kind in three records; return the answers after them."""
    store = LiveStore(root, Bundle.open(root))
    store.change(upsert("新款.jpg", 1, title="新款", tags=["夏季"]), upsert("0007", 2, price=5))
    store.change(Patch("10", {"price": 280, "stock": None}), Patch("新款.jpg", {"price": 1}))
    store.change(Delete("1.jpg#zhc#1"))
    seen = answers(store.snapshot, QUERIES)
    store.close()
    return seen


def seen(root: Path) -> dict[str, object]:
    store = LiveStore(root, Bundle.open(root))
    result = answers(store.snapshot, QUERIES)
    store.close()
    return result


def test_the_answers_are_those_of_before(root: Path) -> None:
    before = change(root)
    report = compact(root)
    assert (report.items, report.added, report.removed, report.position) == (5, 2, 2, 3)
    bundle = Bundle.open(root)
    bundle.verify()
    bundle.check_parts()
    assert bundle.version == report.version == current_version(root)
    assert [bundle.ids.at(key) for key in range(5)] == [
        "1.jpg#zhc#0",
        "连衣裙.jpg",
        "10",
        "新款.jpg",
        "0007",
    ]
    assert bundle.image("新款.jpg") == (JPEG + b"1", "image/jpeg")
    assert bundle.image("1.jpg#zhc#0")[0] == CONTENTS[0]
    assert bundle.manifest.attributes == {**SCHEMA, "tags": "strings"}
    assert bundle.manifest.live_position == 3
    assert bundle.manifest.build["compacted_from"] != bundle.version
    assert seen(root) == before


def test_the_log_is_cut_and_positions_go_on(root: Path) -> None:
    change(root)
    assert compact(root).trimmed
    store = LiveStore(root, Bundle.open(root))
    assert (store.position, store.log_bytes) == (3, 36)
    assert store.snapshot.index_version == f"{current_version(root)}+3"
    store.change(upsert("a", 3))
    assert store.position == 4
    store.close()


def test_a_calibration_stays_as_it_is(root: Path, tmp_path: Path) -> None:
    before = add_calibration(root, make_calibration(VECTORS.shape[1]), tmp_path)
    change(root)
    compact(root)
    after = Bundle.open(root)
    after.verify()
    after.check_parts()
    assert after.version != before.version
    assert after.calibration == before.calibration
    assert after.manifest.stages == before.manifest.stages


def test_a_compacted_version_is_compacted_again(root: Path) -> None:
    change(root)
    compact(root)
    store = LiveStore(root, Bundle.open(root))
    store.change(upsert("新款.jpg", 5), upsert("b", 6), Delete("0007"))
    before = answers(store.snapshot, QUERIES)
    store.close()
    images = Bundle.open(root).path(LIVE_IMAGES).stat().st_size
    report = compact(root)
    assert (report.items, report.added, report.removed) == (5, 2, 2)
    assert seen(root) == before
    assert Bundle.open(root).path(LIVE_IMAGES).stat().st_size == images, "dropped what was replaced"
    store = LiveStore(root, Bundle.open(root))
    store.change(Patch("b", {"price": 4}))
    before = answers(store.snapshot, QUERIES)
    store.close()
    compact(root)
    assert seen(root) == before


def test_without_changes_nothing_is_written(root: Path) -> None:
    version = current_version(root)
    report = compact(root)
    assert (report.version, report.changed, report.position) == (version, False, 0)
    change(root)
    version = compact(root).version
    assert (compact(root).version, compact(root).changed) == (version, False)


def test_a_service_changes_items_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(root)
    store = LiveStore(root, Bundle.open(root))

    def change_then_publish(*arguments: object) -> Bundle:
        store.change(upsert("late", 7, title="晚到"), Delete("10"))
        return publish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("tusou_indexer.compact.publish", change_then_publish)
    report = compact(root)
    assert (report.position, report.trimmed) == (3, False)
    expected = answers(store.snapshot, QUERIES)
    old = store.snapshot.bundle.version
    items = store.attach(Bundle.open(root))
    assert answers(items.snapshot, QUERIES) == expected
    store.detach(old)
    before = store.log_bytes
    store.trim()
    assert store.log_bytes < before
    assert answers(store.snapshot, QUERIES) == expected
    store.change(upsert("later", 8))
    expected = answers(store.snapshot, QUERIES)
    store.close()
    assert seen(root) == expected


def test_what_a_service_has_not_acknowledged_is_not_compacted(root: Path) -> None:
    change(root)
    store = LiveStore(root, Bundle.open(root))
    before = answers(store.snapshot, QUERIES)
    data = log_path(root).read_bytes()
    store.change(upsert("unacknowledged", 7))
    (root / "live" / "lock").write_bytes(b"%020d\n" % 3)  # as before its fsync
    assert compact(root).position == 3
    store.close()
    log_path(root).write_bytes(data)
    assert seen(root) == before


def test_removing_everything_is_refused(root: Path) -> None:
    version = current_version(root)
    store = LiveStore(root, Bundle.open(root))
    store.change(*map(Delete, IDS))
    store.close()
    with pytest.raises(InvalidRequest, match="every item"):
        compact(root)
    assert current_version(root) == version


def test_the_version_before_cannot_be_served_with_a_log_that_was_cut(root: Path) -> None:
    before = Bundle.open(root)
    change(root)
    compact(root)
    with pytest.raises(IncompatibleBundle, match="begins after position 3"):
        LiveStore(root, before)


def test_damage_is_told_and_nothing_published(root: Path) -> None:
    change(root)
    version = current_version(root)
    path = log_path(root)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptBundle, match=str(path)):
        compact(root)
    assert current_version(root) == version


def test_a_compaction_beside_a_build_is_refused(root: Path) -> None:
    change(root)
    with lock_bundle(root), pytest.raises(Locked):
        compact(root)


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(CorruptBundle, match="not a bundle"):
        compact(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_texts_are_compacted_and_read(tmp_path: Path) -> None:
    contents = ["黑色皮鞋".encode(), "碎花连衣裙".encode()]
    root = tmp_path / "t"
    write_vector_bundle(root, ["7", "8"], VECTORS[:2], contents, items="texts")
    store = LiveStore(root, Bundle.open(root))
    store.change(Upsert("12", "北欧边几".encode(), NEW[0], MODEL, {}), Delete("7"))
    assert store.snapshot.text("12") == "北欧边几"
    store.close()
    compact(root)
    bundle = Bundle.open(root)
    assert [bundle.text(item_id) for item_id in ("8", "12")] == ["碎花连衣裙", "北欧边几"]
    assert (bundle.id_type, bundle.ids.at(1)) == ("int", 12)


@pytest.mark.parametrize("error", [None, errno.ENOSPC, errno.EIO], ids=["kill", "full", "io"])
def test_a_compaction_that_fails_anywhere_loses_nothing(
    root: Path, tmp_path: Path, error: int | None
) -> None:
    expected = change(root)
    whole, out = tmp_path / "whole", tmp_path / "out"
    shutil.copytree(root, whole)
    with disk_fault(-1) as calls:
        report = compact(whole)
    assert len(calls) > 50
    for number in range((error or 0) % STRIDE, len(calls), STRIDE):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(root, out)
        with disk_fault(number, error), suppress(Killed, OSError):
            compact(out)
        where = f"{number}: {calls[number]}"
        Bundle.open(out).verify()
        assert seen(out) == expected, where
        again = compact(out)
        assert (again.version, again.position) == (report.version, 3), where
        assert {path.name for path in out.iterdir()} == {path.name for path in whole.iterdir()}
        assert seen(out) == expected, where


@pytest.mark.usefixtures("quick_builds")
def test_indexing_over_live_changes_is_refused_unless_they_may_be_lost(
    text_spec: BuildSpec, tmp_path: Path
) -> None:
    root = tmp_path / "b"
    first = build(text_spec, root, NoProgress()).version
    bundle = Bundle.open(root)
    vector = unit_vectors(1, seed=2, dim=bundle.dim)[0]
    model = bundle.manifest.model.sha256
    store = LiveStore(root, bundle)
    store.change(Upsert("5", "皮鞋".encode(), vector, model, {}), Delete("1000"))
    store.close()
    compacted: CompactReport = compact(root)
    with pytest.raises(OutputExists, match="holds live changes"):
        build(text_spec, root, NoProgress())
    assert current_version(root) == compacted.version
    store = LiveStore(root, Bundle.open(root))
    store.change(Upsert("6", "凉鞋".encode(), vector, model, {}))
    store.close()
    report = build(text_spec, root, NoProgress(), force=True)
    bundle = Bundle.open(root)
    assert (bundle.item_count, bundle.manifest.live_position) == (20, 1)
    assert report.version != first
    store = LiveStore(root, bundle)  # what was not compacted stays
    assert {str(i) for _, i in store.snapshot.ids(store.snapshot.visible)} == {
        *(str(bundle.ids.at(key)) for key in range(20)),
        "6",
    }
    store.close()
    assert build(text_spec, root, NoProgress()).version == report.version


def test_an_item_of_another_model_is_encoded_again(text_spec: BuildSpec, tmp_path: Path) -> None:
    root = tmp_path / "b"
    build(text_spec, root, NoProgress())
    bundle = Bundle.open(root)
    text = bundle.text("1003")
    assert text is not None
    other = unit_vectors(1, seed=2, dim=bundle.dim)[0]
    log = LiveLog(root)
    log.append([[Upsert("5", text.encode(), other, "cd" * 32, {})]])
    log.close()
    compact(root)
    bundle = Bundle.open(root)
    np.testing.assert_allclose(bundle.vectors[-1], bundle.vectors[3], atol=1e-5)
    assert bundle.ids.at(20) == 5
