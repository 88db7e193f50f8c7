"""`tusou push`: what CURRENT names in the store is complete, and nothing is sent twice."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from object_store import BUCKET, ObjectStore
from tusou_indexer.push import push

from tusou.bundle.bundle import Bundle, current_version
from tusou.bundle.location import S3Address
from tusou.bundle.s3_store import S3Store
from tusou.core.errors import CorruptBundle, StoreUnreachable

pytestmark = pytest.mark.services


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


def test_a_large_file_is_sent_in_parts_and_read_in_ranges(
    address: S3Address, object_store: ObjectStore, tmp_path: Path
) -> None:
    data = b"".join(number.to_bytes(4) for number in range(10 * 2**20))  # 40 MiB
    path, digest = tmp_path / "vectors.npy", sha256(data).hexdigest()
    path.write_bytes(data)
    store = S3Store(address)
    store.upload(path, "vectors.npy", digest)
    assert store.has("vectors.npy", len(data), digest)
    assert not store.has("vectors.npy", len(data), "0" * 64)
    key = f"{address.prefix}/vectors.npy"
    tag = object_store.client().head_object(Bucket=BUCKET, Key=key)["ETag"]
    assert tag.endswith('-3"')  # parts
    assert b"".join(store.blocks("vectors.npy", 5, len(data))) == data[5:]


@pytest.mark.parametrize("left", [0, 1, 2, 5])
def test_an_interrupted_push_changes_nothing_that_current_names(
    address: S3Address,
    object_store: ObjectStore,
    three_bundles: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    left: int,
) -> None:
    push(three_bundles[0], address)
    version = current_version(three_bundles[1])
    upload, sent, files = S3Store.upload, 0, len(list((three_bundles[1] / version).iterdir()))

    def upload_some(store: S3Store, source: Path, name: str, digest: str) -> None:
        nonlocal sent
        if sent == files - left:
            raise StoreUnreachable
        upload(store, source, name, digest)
        sent += 1

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "upload", upload_some)
        if left:
            with pytest.raises(StoreUnreachable):
                push(three_bundles[1], address)
        else:
            push(three_bundles[1], address)
    named, _ = S3Store(address).verify()
    assert named == (current_version(three_bundles[0]) if left else version)
    assert (version in S3Store(address).versions()) is not bool(left)
    assert push(three_bundles[1], address).uploaded == left


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
    files = len(list((three_bundles[0] / version).iterdir()))
    beginning = f"{address}: version {version} of images, {files} files, "
    assert verified.stdout.startswith(beginning)
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
