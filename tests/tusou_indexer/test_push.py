"""`tusou push`: what CURRENT names in the store is complete, and nothing is sent twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from object_store import BUCKET, ObjectStore
from tusou_indexer.push import push

from tusou.bundle.bundle import Bundle, current_version
from tusou.bundle.location import S3Address
from tusou.bundle.s3_store import S3Store
from tusou.core.errors import CorruptBundle, StoreUnreachable


@pytest.fixture
def address(object_store: ObjectStore, request: pytest.FixtureRequest) -> S3Address:
    return S3Address(BUCKET, f"pushed/{request.node.name}")


def tusou(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tusou", *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=60,
        check=False,
    )


def test_the_store_has_the_files_of_the_bundle(
    address: S3Address, object_store: ObjectStore, three_bundles: list[Path]
) -> None:
    report = push(three_bundles[0], address)
    version = current_version(three_bundles[0])
    files = {f"{version}/{path.name}" for path in (three_bundles[0] / version).iterdir()}
    assert object_store.names(address.prefix) == files | {"CURRENT"}
    assert (report.version, report.previous) == (version, None)
    assert (report.uploaded, report.present) == (len(files), 0)
    assert S3Store(address).verify() == (version, Bundle.open(three_bundles[0]).manifest)


def test_a_file_that_is_there_is_not_sent_again_and_a_changed_one_is(
    address: S3Address, object_store: ObjectStore, three_bundles: list[Path]
) -> None:
    first = push(three_bundles[0], address)
    again = push(three_bundles[0], address)
    assert (again.uploaded, again.present, again.bytes) == (0, first.uploaded, 0)
    name = f"{address.prefix}/{first.version}/ids.txt"
    object_store.put(name, b"?" * len((three_bundles[0] / first.version / "ids.txt").read_bytes()))
    with pytest.raises(CorruptBundle, match=r"changed or missing files: ids\.txt; push"):
        S3Store(address).verify()
    assert push(three_bundles[0], address).uploaded == 1
    S3Store(address).verify()


@pytest.mark.parametrize("sent", [0, 3, 7, 8])
def test_an_interrupted_push_changes_nothing_that_current_names(
    address: S3Address,
    object_store: ObjectStore,
    three_bundles: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    sent: int,
) -> None:
    push(three_bundles[0], address)
    upload, count = S3Store.upload, 0

    def upload_some(store: S3Store, source: Path, name: str, digest: str) -> None:
        nonlocal count
        if count == sent:
            raise StoreUnreachable
        upload(store, source, name, digest)
        count += 1

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "upload", upload_some)
        if sent < 8:  # files of a version
            with pytest.raises(StoreUnreachable):
                push(three_bundles[1], address)
        else:
            push(three_bundles[1], address)
    named, _ = S3Store(address).verify()
    version = current_version(three_bundles[1])
    assert named == (version if sent == 8 else current_version(three_bundles[0]))
    assert (version in S3Store(address).versions()) is (sent == 8)
    assert push(three_bundles[1], address).uploaded == 8 - sent


def test_a_damaged_bundle_is_not_pushed(
    address: S3Address, object_store: ObjectStore, three_bundles: list[Path], tmp_path: Path
) -> None:
    version = current_version(three_bundles[0])
    copy = tmp_path / "bundle" / version
    copy.mkdir(parents=True)
    for path in (three_bundles[0] / version).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy.parent / "CURRENT").write_text(version)
    (copy / "ids.txt").write_bytes(b"1\n")
    with pytest.raises(CorruptBundle, match=r"ids\.txt"):
        push(copy.parent, address)
    assert object_store.names(address.prefix) == set()


def test_the_commands_read_and_write_stores(
    address: S3Address, object_store: ObjectStore, three_bundles: list[Path]
) -> None:
    pushed = tusou("push", three_bundles[0], address, "--json")
    assert pushed.returncode == 0, pushed.stderr
    version = current_version(three_bundles[0])
    assert json.loads(pushed.stdout)["version"] == version
    described = tusou("info", address, "--json")
    assert json.loads(described.stdout) == json.loads(
        tusou("info", three_bundles[0], "--json").stdout
    )
    verified = tusou("verify", address)
    assert verified.stdout.startswith(f"{address}: version {version} of images, 8 files, ")
    object_store.put(f"{address.prefix}/{version}/ids.txt", b"")
    damaged = tusou("verify", address)
    assert (damaged.returncode, damaged.stderr.split(":")[0]) == (1, "corrupt_bundle")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("push", "BUNDLE", "/srv/bundle"), "give the address of a store"),
        (("push", "BUNDLE", "gs://shop/bundle"), "a bundle is a folder or an address such as"),
        (("verify", "nowhere"), "nowhere does not exist"),
        (("info", "https://shop/bundle"), "a bundle is a folder or an address such as"),
    ],
)
def test_other_addresses_are_wrong_usage(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    completed = tusou(*(str(tmp_path) if word == "BUNDLE" else word for word in words))
    assert completed.returncode == 2
    assert message in " ".join(completed.stderr.replace("│", " ").split())
