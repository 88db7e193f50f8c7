"""Vectors of images in other versions and bundles: what a changed source encodes."""

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from drawing import image_bytes
from tusou_indexer.build import BuildReport, BuildSpec, build

from tusou.bundle.bundle import Bundle
from tusou.bundle.content import CONTENT
from tusou.bundle.reuse_record import read_reuse
from tusou.cli.progress import NoProgress
from tusou.core.errors import CorruptBundle

pytestmark = pytest.mark.usefixtures("quick_builds")

Images = list[tuple[str, bytes]]
IMAGES: Images = [(f"{n}.jpg#zhc#0", image_bytes(n)) for n in range(20)]
NEW: Images = [(f"新品{n}", image_bytes(1000 + n)) for n in range(5)]


def write_file(path: Path, images: Images) -> Path:
    rows = (f"{item_id}\t{base64.b64encode(image).decode()}\n" for item_id, image in images)
    path.write_text("".join(rows))
    return path


def write_folder(path: Path, images: Images) -> Path:
    path.mkdir()
    for item_id, image in images:
        (path / f"{item_id}.jpg").write_bytes(image)
    return path


class Recorder(NoProgress):
    """Keeps notices and stages, and stops the build after some finished steps of encoding."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.notices: list[str] = []
        self.stages: list[tuple[str, int, int]] = []
        self._left = stop_after

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self.stages.append((label, total, done))

    def advance(self, steps: int = 1, note: str = "") -> None:
        if self.stages[-1][0] == "encoding":
            self._left -= steps
        if self._left < 0:
            raise KeyboardInterrupt

    def notice(self, message: str) -> None:
        self.notices.append(message)


@pytest.fixture
def spec(tmp_path: Path, tiny_model: Path) -> BuildSpec:
    source = write_file(tmp_path / "imgs.tsv", IMAGES)
    return BuildSpec(str(source), str(tiny_model), device="cpu", workers=1)


def run(spec: BuildSpec, out: Path, *, force: bool = False) -> BuildReport:
    return build(spec, out, NoProgress(), force=force)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_five_images_more_encode_five_and_give_the_bytes_of_a_new_build(
    pool: Path, tiny_model: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "imgs.tsv", tmp_path / "b"
    shutil.copy(pool, source)
    spec = BuildSpec(str(source), str(tiny_model), device="cpu", workers=1)
    first = run(spec, out)
    with source.open("a", encoding="utf-8") as file:
        file.write(write_file(tmp_path / "new.tsv", NEW).read_text())
    added, alone = run(spec, out), run(spec, tmp_path / "alone")
    assert (first.encoded, added.encoded, added.reused, alone.encoded) == (300, 5, 300, 305)
    assert files(out / added.version) == files(tmp_path / "alone" / alone.version)
    assert read_reuse(out, added.version) == [{"version": first.version, "items": 300}]
    assert read_reuse(tmp_path / "alone", alone.version) == []
    assert Bundle.open(out).manifest.reused == ()


def removed(path: Path) -> Path:
    return write_file(path, IMAGES[3:])


def reordered(path: Path) -> Path:
    return write_file(path, IMAGES[::-1])


def renamed(path: Path) -> Path:
    return write_file(path, [(f"红{item_id}", image) for item_id, image in IMAGES])


def in_a_folder(path: Path) -> Path:
    return write_folder(path, [(item_id.partition("#")[0], image) for item_id, image in IMAGES])


def swapped(path: Path) -> Path:
    return write_file(path, [(IMAGES[0][0], IMAGES[1][1]), (IMAGES[1][0], IMAGES[0][1])])


def several_times(path: Path) -> Path:
    return write_file(path, [*IMAGES, ("again", IMAGES[4][1]), ("twice", IMAGES[4][1])])


def one_changed(path: Path) -> Path:
    return write_file(path, [(IMAGES[0][0], NEW[0][1]), *IMAGES[1:]])


def added_in_between(path: Path) -> Path:
    pairs = zip(IMAGES[:5], NEW, strict=True)
    return write_file(path, [row for pair in pairs for row in pair] + IMAGES[5:])


@pytest.mark.parametrize(
    ("change", "encoded"),
    [
        (removed, 0),
        (reordered, 0),
        (renamed, 0),
        (in_a_folder, 0),
        (swapped, 0),
        (several_times, 0),
        (one_changed, 1),
        (added_in_between, 5),
    ],
)
def test_only_images_that_no_version_holds_are_encoded(
    spec: BuildSpec, tmp_path: Path, change: Callable[[Path], Path], encoded: int
) -> None:
    run(spec, tmp_path / "b")
    other = replace(spec, source=str(change(tmp_path / "other")))
    again, alone = run(other, tmp_path / "b"), run(other, tmp_path / "alone")
    assert again.encoded == encoded
    assert again.reused == again.counts.embedded - encoded
    assert again.version == alone.version  # the digest of every byte
    assert run(other, tmp_path / "b").version == again.version


def with_checksum_of(image: bytes, other: bytes) -> bytes:
    """Append four bytes by which an image gets the CRC-32 of another one."""
    table = [crc32(bytes([n])) ^ crc32(b"\0") for n in range(256)]
    steps = {entry >> 24: (index, entry) for index, entry in enumerate(table)}
    state = crc32(other) ^ 0xFFFFFFFF
    for _ in range(4):
        index, entry = steps[state >> 24]
        state = ((state ^ entry) << 8 | index) & 0xFFFFFFFF
    return image + (state ^ crc32(image) ^ 0xFFFFFFFF).to_bytes(4, "little")


def test_an_image_with_length_and_checksum_of_another_is_told_from_it(
    spec: BuildSpec, tmp_path: Path
) -> None:
    first, second = sorted((IMAGES[0][1], IMAGES[1][1]), key=len)
    second += b"\0\0\0\0"
    forged = with_checksum_of(first + bytes(len(second) - len(first) - 4), second)
    assert (len(forged), crc32(forged)) == (len(second), crc32(second))
    other = replace(spec, source=str(write_folder(tmp_path / "one", [("a", second)])))
    run(other, tmp_path / "b")
    other = replace(spec, source=str(write_folder(tmp_path / "two", [("a", forged)])))
    assert run(other, tmp_path / "b").encoded == 1


def test_vectors_are_taken_from_named_bundles_too(spec: BuildSpec, tmp_path: Path) -> None:
    other = replace(spec, source=str(write_file(tmp_path / "other.tsv", NEW)))
    both = replace(spec, source=str(write_file(tmp_path / "both.tsv", [*IMAGES, *NEW])))
    first, second = run(spec, tmp_path / "a"), run(other, tmp_path / "b")
    reusing = replace(both, reuse=(tmp_path / "a", tmp_path / "b"))
    taken, alone = run(reusing, tmp_path / "c"), run(both, tmp_path / "alone")
    assert (taken.encoded, taken.version) == (0, alone.version)
    assert read_reuse(tmp_path / "c", taken.version) == [
        {"version": first.version, "items": 20},
        {"version": second.version, "items": 5},
    ]
    assert run(reusing, tmp_path / "c", force=True).encoded == 0
    assert run(both, tmp_path / "c", force=True).version == taken.version
    assert read_reuse(tmp_path / "c", taken.version) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"prepare": "white"}, "it has another prepare, preprocessing"),
        ({"precision": "bf16"}, "it has another precision"),
        ({"max_megapixels": 10}, "it has another max_megapixels"),
    ],
)
def test_a_named_bundle_of_another_encoding_lends_nothing_and_says_why(
    spec: BuildSpec, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    run(spec, tmp_path / "a")
    progress = Recorder()
    other = replace(spec, **change, reuse=(tmp_path / "a",))  # type: ignore[arg-type]
    assert build(other, tmp_path / "b", progress).encoded == 20
    assert progress.notices == [f"no vectors are taken from {tmp_path / 'a'}: {reason}"]


@pytest.mark.parametrize("name", ["vectors.npy", CONTENT])
def test_a_damaged_version_lends_nothing(spec: BuildSpec, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "b" / run(spec, tmp_path / "b").version
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    more = replace(spec, source=str(write_file(tmp_path / "more.tsv", [*IMAGES, *NEW])))
    with pytest.raises(CorruptBundle, match="changed, missing or foreign files"):
        run(replace(more, reuse=(tmp_path / "b",)), tmp_path / "c")
    assert run(more, tmp_path / "b").encoded == 25


def test_a_build_that_is_killed_while_it_reuses_is_resumed_to_the_same_bytes(
    spec: BuildSpec, tmp_path: Path
) -> None:
    run(spec, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    more = replace(spec, source=str(added_in_between(tmp_path / "more.tsv")))
    whole = run(more, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        build(more, tmp_path / "killed", Recorder(stop_after=4))
    assert len(list((tmp_path / "killed" / ".build" / "shards").glob("*.json"))) == 3
    resumed = run(more, tmp_path / "killed")
    assert (resumed.encoded, resumed.version) == (1, whole.version)
    record = read_reuse(tmp_path / "whole", whole.version)
    assert read_reuse(tmp_path / "killed", resumed.version) == record


def test_images_that_could_not_be_used_are_tried_again(spec: BuildSpec, tmp_path: Path) -> None:
    images = [*IMAGES, ("broken", b"\xff\xd8\xff no image")]
    spec = replace(spec, source=str(write_file(tmp_path / "bad.tsv", images)), max_bad="1")
    run(spec, tmp_path / "b")
    progress = Recorder()
    again = build(replace(spec, index="SQ8"), tmp_path / "b", progress)
    assert progress.stages == [("comparing", 21, 0), ("encoding", 21, 20)]
    assert (again.encoded, again.reused, again.counts.failed) == (0, 20, 1)
    failures = Bundle.open(tmp_path / "b").path("failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["item_id"] for line in failures] == ["broken"]


def test_every_image_has_the_vector_that_it_has_alone(spec: BuildSpec, tmp_path: Path) -> None:
    run(spec, tmp_path / "b")
    vectors = Bundle.open(tmp_path / "b").vectors
    for key in (0, 7, 19):
        alone = replace(
            spec, source=str(write_file(tmp_path / f"{key}.tsv", IMAGES[key : key + 1]))
        )
        run(alone, tmp_path / str(key))
        np.testing.assert_array_equal(Bundle.open(tmp_path / str(key)).vectors[0], vectors[key])
