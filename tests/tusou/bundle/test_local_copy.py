"""Copies of bundles from a store: complete, continued, repaired, refused when they are wrong."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import pytest
from object_store import BUCKET, ObjectStore
from tusou_indexer.push import push

import tusou
from tusou.bundle.bundle import Bundle, current_version
from tusou.bundle.local_copy import current_version_of, local_folder
from tusou.bundle.location import S3Address
from tusou.bundle.s3_store import S3Store
from tusou.core.errors import (
    CorruptBundle,
    MissingDependency,
    StorageFull,
    StoreUnreachable,
)

DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture
def address(object_store: ObjectStore, request: pytest.FixtureRequest) -> S3Address:
    """Return an address that no other test uses, in a store that runs."""
    return S3Address(BUCKET, f"copies/{request.node.name}")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_bundle_from_a_store_answers_as_the_local_one(
    address: S3Address, three_bundles: list[Path], tmp_path: Path
) -> None:
    push(three_bundles[0], address)
    with (
        tusou.open_bundle(str(address), device="cpu", cache_dir=tmp_path) as copy,
        tusou.open_bundle(three_bundles[0], device="cpu") as original,
    ):
        assert copy.index_version == original.index_version == current_version_of(address)
        assert copy.search("红色碎花裙").item_ids == original.search("红色碎花裙").item_ids
    (folder,) = tmp_path.iterdir()
    version = current_version(three_bundles[0])
    assert names(folder) == {".lock", "CURRENT", version}
    assert names(folder / version) == names(three_bundles[0] / version)


def test_a_copy_keeps_the_version_before_and_no_older_one(
    address: S3Address, object_store: ObjectStore, three_bundles: list[Path], tmp_path: Path
) -> None:
    versions = [current_version(bundle) for bundle in three_bundles]
    for bundle in three_bundles:
        push(bundle, address)
        root = local_folder(address, tmp_path)
        assert current_version(root) == current_version(bundle)
    assert names(root) == {".lock", "CURRENT", *versions[1:]}
    stored = {name.split("/")[0] for name in object_store.names(address.prefix)}
    assert stored == {"CURRENT", *versions[1:]}


def test_a_download_goes_on_where_it_was_ended(
    address: S3Address, object_store: ObjectStore, three_bundles: list[Path], tmp_path: Path
) -> None:
    push(three_bundles[0], address)
    root = local_folder(address, tmp_path)
    version = current_version(root)
    part = root / f".{version}.part"
    (root / version).rename(part)  # as after a kill, with one file half there
    vectors = (part / "vectors.npy").read_bytes()
    (part / "vectors.npy").write_bytes(vectors[:5000])
    (part / "of-another-version").touch()
    # What is there already is not read again: the store's copy of it is not the right one.
    half = b"\0" * 5000 + vectors[5000:]
    object_store.put(f"{address.prefix}/{version}/vectors.npy", half)
    object_store.put(f"{address.prefix}/{version}/ids.txt", b"")
    assert local_folder(address, tmp_path) == root
    Bundle.open(root).verify()
    assert names(root) == {".lock", "CURRENT", version}


@pytest.mark.parametrize("copied", [0, 3, 6])
def test_a_store_that_goes_away_leaves_no_half_version(
    address: S3Address,
    three_bundles: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    copied: int,
) -> None:
    push(three_bundles[0], address)
    root = local_folder(address, tmp_path)
    push(three_bundles[1], address)
    copy_to, names_copied = S3Store.copy_to, list[str]()

    def copy_some(store: S3Store, name: str, start: int, size: int, file: BinaryIO) -> None:
        if len(names_copied) == copied:
            copy_to(store, name, start, size // 2, file)
            raise StoreUnreachable
        names_copied.append(name)
        copy_to(store, name, start, size, file)

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "copy_to", copy_some)
        with pytest.raises(StoreUnreachable):
            local_folder(address, tmp_path)
    first, second = (current_version(bundle) for bundle in three_bundles[:2])
    assert names(root) == {".lock", "CURRENT", first, f".{second}.part"}
    Bundle.open(root).verify()
    local_folder(address, tmp_path)
    Bundle.open(root).verify()
    assert names(root) == {".lock", "CURRENT", first, second}


def test_a_torn_part_is_downloaded_from_its_start(
    address: S3Address, three_bundles: list[Path], tmp_path: Path
) -> None:
    push(three_bundles[0], address)
    root = local_folder(address, tmp_path)
    version = current_version(root)
    (root / version).rename(root / f".{version}.part")
    (root / f".{version}.part" / "vectors.npy").write_bytes(b"\0" * 5000)
    local_folder(address, tmp_path)
    Bundle.open(root).verify()


def test_a_damaged_copy_is_repaired(
    address: S3Address, three_bundles: list[Path], tmp_path: Path
) -> None:
    push(three_bundles[0], address)
    root = local_folder(address, tmp_path)
    vectors = root / current_version(root) / "vectors.npy"
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(data)
    (vectors.parent / "ids.txt").unlink()
    local_folder(address, tmp_path)
    Bundle.open(root).verify()


def test_a_damaged_file_of_the_store_is_refused_and_the_copy_stays(
    address: S3Address, object_store: ObjectStore, three_bundles: list[Path], tmp_path: Path
) -> None:
    push(three_bundles[0], address)
    root = local_folder(address, tmp_path)
    push(three_bundles[1], address)
    version = current_version(three_bundles[1])
    data = (three_bundles[1] / version / "vectors.npy").read_bytes()
    object_store.put(f"{address.prefix}/{version}/vectors.npy", data[:-1] + b"?")
    with pytest.raises(CorruptBundle, match=r"vectors\.npy: the store's file is not the one of"):
        local_folder(address, tmp_path)
    assert current_version(root) == current_version(three_bundles[0])
    Bundle.open(root).verify()


def test_names_that_lead_elsewhere_are_refused(
    address: S3Address, object_store: ObjectStore, three_bundles: list[Path], tmp_path: Path
) -> None:
    object_store.put(f"{address.prefix}/CURRENT", b"../../../../etc\n")
    with pytest.raises(CorruptBundle, match="does not name a version"):
        local_folder(address, tmp_path)
    manifest = json.loads((next(three_bundles[0].glob("*/manifest.json"))).read_bytes())
    manifest["files"]["../../outside"] = manifest["files"]["ids.txt"]
    data = json.dumps(manifest).encode()
    version = sha256(data).hexdigest()[:16]
    object_store.put(f"{address.prefix}/CURRENT", version.encode())
    object_store.put(f"{address.prefix}/{version}/manifest.json", data)
    object_store.put(f"{address.prefix}/outside", b"")
    with pytest.raises(CorruptBundle, match="wrong value at"):
        local_folder(address, tmp_path)
    object_store.put(f"{address.prefix}/{version}/manifest.json", data + b" ")
    with pytest.raises(CorruptBundle, match="is not the one of this version"):
        local_folder(address, tmp_path)


def test_a_disk_without_room_is_named_before_anything_is_downloaded(
    address: S3Address,
    three_bundles: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    push(three_bundles[0], address)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(1000, 990, 10))
    with pytest.raises(StorageFull, match=r"needs [\d,]+ more bytes, 10 are free"):
        local_folder(address, tmp_path)
    (root,) = tmp_path.iterdir()
    assert [path.name for path in root.glob(".*.part/*")] == ["manifest.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_disk_that_fills_meanwhile_is_named(
    address: S3Address,
    three_bundles: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    push(three_bundles[0], address)

    def fill(store: S3Store, name: str, start: int, size: int, file: BinaryIO) -> None:
        Path("/dev/full").write_bytes(b"?")

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "copy_to", fill)
        with pytest.raises(StorageFull, match=f"^{tmp_path}.*: the disk is full; free"):
            local_folder(address, tmp_path)
    assert Bundle.open(local_folder(address, tmp_path)).item_count == 40


def test_processes_that_need_the_same_copy_wait_for_each_other(
    address: S3Address, three_bundles: list[Path], tmp_path: Path
) -> None:
    push(three_bundles[0], address)
    code = (
        "import sys; from pathlib import Path; from tusou.bundle.bundle import Bundle\n"
        "from tusou.bundle.local_copy import local_folder\n"
        "from tusou.bundle.location import parse_location\n"
        "root = local_folder(parse_location(sys.argv[1]), Path(sys.argv[2]))\n"
        "bundle = Bundle.open(root); bundle.verify(); print(bundle.version)\n"
    )
    command = [sys.executable, "-c", code, str(address), str(tmp_path)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(3)
    ]
    printed = [process.communicate(timeout=60)[0].strip() for process in started]
    assert printed == [current_version(three_bundles[0])] * 3


def test_a_store_that_does_not_answer_is_not_a_damaged_bundle(
    address: S3Address, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # discard: nothing listens
    with pytest.raises(StoreUnreachable, match=r"^s3://shop/copies/\S+ cannot be used now: End"):
        local_folder(address, tmp_path)
    S3FileSystem.clear_instance_cache()


def test_a_place_without_a_bundle_is_said_to_be_none(address: S3Address) -> None:
    with pytest.raises(CorruptBundle, match="is not a bundle: it has no CURRENT"):
        current_version_of(address)


def test_without_s3fs_the_extra_is_named(
    address: S3Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingDependency, match=r"install tusou\[s3\]"):
        current_version_of(address)
