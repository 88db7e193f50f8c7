"""Builds: items, failures, interruptions, repeated builds and refused options."""

import fcntl
import hashlib
import json
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import image_bytes, image_line
from tusou_indexer.build import BuildSpec, build

from tusou.bundle.bundle import Bundle, current_version
from tusou.bundle.manifest import Counts
from tusou.core.errors import (
    ArtifactError,
    BadDataset,
    CorruptBundle,
    InvalidRequest,
    Locked,
    OutputExists,
    UnknownItem,
)
from tusou.encoders import find_weights, load_image_encoder, resolve_encoder
from tusou.images.preprocess import open_image, to_pixels

pytestmark = pytest.mark.usefixtures("small_shards")


class Counted:
    """A progress that counts rows, and can interrupt the build."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.rows, self.done, self.encoded, self._stop_after = 0, 0, 0, stop_after

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self.rows, self.done = total, done

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps
        self.encoded += steps
        if self._stop_after is not None and self.done > self._stop_after:
            raise KeyboardInterrupt

    def notice(self, message: str) -> None: ...


@pytest.fixture
def spec(pool: Path, tiny_model: Path) -> BuildSpec:
    return BuildSpec(str(pool), str(tiny_model), workers=1)


def digests(root: Path) -> dict[str, str]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_every_item_gets_the_vector_of_its_own_image(spec: BuildSpec, tmp_path: Path) -> None:
    progress = Counted()
    report = build(spec, tmp_path / "b", progress)
    bundle = Bundle.open(tmp_path / "b")
    assert report.counts == Counts(items=300, embedded=300, failed=0, truncated=0)
    assert (progress.rows, progress.done, progress.encoded, report.encoded) == (300,) * 4
    encoder = load_image_encoder(find_weights(spec.model))
    for key in (0, 63, 64, 299):
        form = "PNG" if key % 3 == 0 else "JPEG"
        pixels = to_pixels(open_image(image_bytes(key, form=form)), encoder.transform)
        alone = encoder.encode(pixels[None])[0]
        assert bundle.ids.at(key) == 1000 + key
        assert float(alone @ bundle.vectors[key]) > 0.99999
        assert bundle.image(str(1000 + key))[0] == image_bytes(key, form=form)


def test_unusable_lines_are_listed_and_the_rest_is_built(tiny_model: Path, tmp_path: Path) -> None:
    whole = image_line("4", 4, side=64)
    cut = whole[: len(whole) // 2 // 4 * 4 + 2] + b"\n"
    lines = [
        image_line("1", 1),
        b"2\tnot base64!\n",
        b"3\tAAAA\n",
        cut,
        b"\n",
        image_line("1", 5),
        image_line("6", 6).replace(b"+", b"-").replace(b"/", b"_"),
    ]
    (tmp_path / "imgs.tsv").write_bytes(b"".join(lines))
    bundle_path = tmp_path / "b"
    spec = BuildSpec(str(tmp_path / "imgs.tsv"), str(tiny_model), max_bad="5", workers=1)
    report = build(spec, bundle_path, Counted())
    bundle = Bundle.open(bundle_path)
    failures = [json.loads(line) for line in bundle.path("failures.jsonl").read_text().splitlines()]
    assert report.counts == Counts(items=7, embedded=2, failed=5, truncated=0)
    assert [bundle.ids.at(key) for key in range(2)] == [1, 6]
    assert [(bad["line"], bad["item_id"], bad["reason"]) for bad in failures] == [
        (2, "2", "bad base64"),
        (3, "3", "not a readable image"),
        (4, "4", failures[2]["reason"]),
        (5, None, "blank line"),
        (6, "1", "duplicate id"),
    ]
    assert {tuple(bad) for bad in failures} == {("line", "item_id", "reason")}


def test_a_folder_of_images_gives_the_same_vectors_as_one_file(
    spec: BuildSpec, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    for key in range(300):
        form = "png" if key % 3 == 0 else "jpg"
        path = folder / f"{1000 + key}.{form}"
        path.write_bytes(image_bytes(key, form="PNG" if form == "png" else "JPEG"))
    build(spec, tmp_path / "one", Counted())
    report = build(replace(spec, source=str(folder)), tmp_path / "many", Counted())
    single, many = Bundle.open(tmp_path / "one"), Bundle.open(tmp_path / "many")
    assert report.counts == single.manifest.counts
    assert [many.ids.at(key) for key in range(300)] == [single.ids.at(key) for key in range(300)]
    np.testing.assert_array_equal(many.vectors, single.vectors)
    assert many.image("1007") == single.image("1007")
    source = many.manifest.source
    assert (source.path, source.encoding, source.files) == (str(folder), "raw", 300)
    assert build(replace(spec, source=str(folder)), tmp_path / "many", Counted()).encoded == 0
    (folder / "1007.jpg").write_bytes(image_bytes(8))
    with pytest.raises(UnknownItem, match="has changed since indexing"):
        Bundle.open(tmp_path / "many").image("1007")
    changed = build(replace(spec, source=str(folder)), tmp_path / "many", Counted())
    assert (changed.encoded, changed.version != report.version) == (0, True)  # as 1008 was before


def test_a_failure_in_a_folder_names_its_file(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "b").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(image_bytes(1))
    (folder / "a.png").write_bytes(image_bytes(2, form="PNG"))
    (folder / "b" / "cut.jpg").write_bytes(image_bytes(3, side=64)[:400])
    (folder / "empty.webp").touch()
    spec = BuildSpec(str(folder), str(tiny_model), max_bad="3", workers=1)
    build(spec, tmp_path / "b", Counted())
    bundle = Bundle.open(tmp_path / "b")
    lines = bundle.path("failures.jsonl").read_text().splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == [
        (3, "b/cut", "broken image header", "b/cut.jpg"),
        (4, "empty", "empty image", "empty.webp"),
    ]
    assert bundle.image("a.jpg")[0] == image_bytes(1)


def test_too_many_bad_lines_publish_nothing(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "imgs.tsv").write_bytes(image_line("1", 1) + b"\n" + b"2\tAAAA\n")
    spec = BuildSpec(str(tmp_path / "imgs.tsv"), str(tiny_model), max_bad="1", workers=1)
    with pytest.raises(BadDataset, match=r"2 of 3 lines .*failures.jsonl"):
        build(spec, tmp_path / "b", Counted())
    assert not (tmp_path / "b" / "CURRENT").exists()


def test_items_of_which_none_can_be_used_say_why(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "imgs.tsv").write_bytes(b"1\thttps://a.cn/1.jpg\n2\tAAAA\n")
    spec = BuildSpec(str(tmp_path / "imgs.tsv"), str(tiny_model), max_bad="100%", workers=1)
    with pytest.raises(BadDataset, match=r"\(line 1: an address, not .*\); .*failures.jsonl"):
        build(spec, tmp_path / "b", Counted())


@pytest.mark.parametrize("max_bad", ["-1", "x", "1.5", "%", "nan%", "inf%", "101%"])
def test_refuses_a_max_bad_that_is_not_a_number(
    spec: BuildSpec, tmp_path: Path, max_bad: str
) -> None:
    spec = BuildSpec(spec.source, spec.model, max_bad=max_bad)
    with pytest.raises(InvalidRequest, match="--max-bad"):
        build(spec, tmp_path / "b", Counted())


@pytest.mark.parametrize(
    "wrong",
    [{"index": "IVF"}, {"prompt": "no place for it"}, {"target_recall": 1.5}],
    ids=["index", "prompt", "target-recall"],
)
def test_wrong_options_are_refused_before_an_image_is_encoded(
    spec: BuildSpec, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    progress = Counted()
    with pytest.raises(InvalidRequest):
        build(replace(spec, **wrong), tmp_path / "b", progress)
    assert progress.rows == 0


def test_a_resumed_build_gives_the_same_bytes(spec: BuildSpec, tmp_path: Path) -> None:
    build(spec, tmp_path / "whole", Counted())
    with pytest.raises(KeyboardInterrupt):
        build(spec, tmp_path / "cut", Counted(stop_after=150))
    assert not (tmp_path / "cut" / "CURRENT").exists()
    progress = Counted()
    report = build(spec, tmp_path / "cut", progress)
    assert (report.encoded, progress.encoded, progress.done) == (172, 172, 300)
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


def test_a_resumed_build_with_openvino_gives_the_same_bytes(
    pool: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Force OpenVINO, which `auto` takes for large towers only."""
    conversion = pytest.importorskip("tusou.encoders.openvino.convert")
    monkeypatch.setattr("tusou.encoders.openvino.encoders._run_converter", conversion.convert)
    monkeypatch.setattr(
        "tusou.encoders.select_backend._pick_backend",
        lambda backend, *_: "torch" if backend == "torch" else "openvino",
    )
    shutil.copy(tiny_model, tmp_path / "model.pt")
    spec = BuildSpec(str(pool), str(tmp_path / "model.pt"), workers=1)
    build(spec, tmp_path / "whole", Counted())
    with pytest.raises(KeyboardInterrupt):
        build(spec, tmp_path / "cut", Counted(stop_after=150))
    assert build(spec, tmp_path / "cut", Counted()).encoded == 172
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    converted = {path.name.split("-2-")[0] for path in (tmp_path / "model.pt.openvino").glob("*-*")}
    # The text tower is converted for the service, which may not be allowed to write.
    assert converted == {"image-fp32", "text-fp32"}
    record = Bundle.open(tmp_path / "whole").manifest.build
    assert (record["backend"], record["openvino"]) == ("openvino", version("openvino"))
    encoder = load_image_encoder(find_weights(str(tiny_model)), backend="torch")
    pixels = to_pixels(open_image(image_bytes(63, form="PNG")), encoder.transform)
    vectors = Bundle.open(tmp_path / "whole").vectors
    assert float(encoder.encode(pixels[None])[0] @ vectors[63]) > 0.99999


def test_another_backend_starts_the_build_again(
    spec: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(spec, tmp_path / "cut", Counted(stop_after=150))
    other = replace(resolve_encoder(find_weights(spec.model), "image"), backend="other")
    monkeypatch.setattr("tusou_indexer.build.resolve_encoder", lambda *_: other)
    monkeypatch.setattr(
        "tusou_indexer.build.open_image_encoder",
        lambda resolved: load_image_encoder(resolved.weights, "cpu", "fp32"),
    )
    assert build(spec, tmp_path / "cut", Counted()).encoded == 300


def test_a_damaged_shard_is_encoded_again(spec: BuildSpec, tmp_path: Path) -> None:
    build(spec, tmp_path / "whole", Counted())
    with pytest.raises(KeyboardInterrupt):
        build(spec, tmp_path / "cut", Counted(stop_after=150))
    shard = tmp_path / "cut" / ".build" / "shards" / "000000.npy"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
    assert build(spec, tmp_path / "cut", Counted()).encoded == 172 + 64
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


def test_a_published_build_is_not_repeated_unless_forced(spec: BuildSpec, tmp_path: Path) -> None:
    first = build(spec, tmp_path / "b", Counted())
    again = build(spec, tmp_path / "b", Counted())
    forced = build(spec, tmp_path / "b", Counted(), force=True)
    assert (again.encoded, forced.encoded) == (0, 300)
    assert first.version == again.version == forced.version


def test_another_index_gives_another_version_and_keeps_the_old_one(
    spec: BuildSpec, tmp_path: Path
) -> None:
    first = build(spec, tmp_path / "b", Counted())
    second = build(
        BuildSpec(spec.source, spec.model, index="HNSW8", workers=1), tmp_path / "b", Counted()
    )
    assert current_version(tmp_path / "b") == second.version != first.version
    Bundle.open(tmp_path / "b", first.version).verify()


def test_another_precision_builds_again_and_is_recorded(spec: BuildSpec, tmp_path: Path) -> None:
    first = build(spec, tmp_path / "b", Counted())
    named = build(replace(spec, precision="fp32"), tmp_path / "b", Counted())
    halved = build(replace(spec, precision="bf16"), tmp_path / "b", Counted())
    assert (named.version, named.encoded, halved.encoded) == (first.version, 0, 300)
    bundle, plain = Bundle.open(tmp_path / "b"), Bundle.open(tmp_path / "b", first.version)
    records = [each.manifest.build["precision"] for each in (plain, bundle)]
    assert records == ["fp32", "bf16"]
    cosines = np.einsum("nd,nd->n", bundle.vectors, plain.vectors)
    assert 0.999 < cosines.min() < 0.9999999
    assert bundle.path("golden.json").read_bytes() == plain.path("golden.json").read_bytes()


def test_a_second_build_of_the_same_bundle_is_refused(spec: BuildSpec, tmp_path: Path) -> None:
    build(spec, tmp_path / "b", Counted())
    with (tmp_path / "b" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Locked, match="another `tusou index`"):
            build(spec, tmp_path / "b", Counted())


def test_a_folder_that_is_not_a_bundle_is_not_touched(spec: BuildSpec, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExists, match="something else"):
        build(spec, tmp_path, Counted())


def test_ids_that_are_not_canonical_integers_stay_strings(tiny_model: Path, tmp_path: Path) -> None:
    lines = [image_line("7", 1), image_line("007", 2)]
    (tmp_path / "imgs.tsv").write_bytes(b"".join(lines))
    build(
        BuildSpec(str(tmp_path / "imgs.tsv"), str(tiny_model), workers=1), tmp_path / "b", Counted()
    )
    bundle = Bundle.open(tmp_path / "b")
    assert (bundle.manifest.id_type, bundle.ids.at(0), bundle.ids.at(1)) == ("str", "7", "007")
    assert bundle.image("007")[0] == image_bytes(2)


def test_verify_finds_any_changed_byte(spec: BuildSpec, tmp_path: Path) -> None:
    report = build(spec, tmp_path / "b", Counted())
    folder = tmp_path / "b" / report.version
    random = np.random.default_rng(3)
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        if not good:
            continue
        bad = bytearray(good)
        bad[int(random.integers(len(bad)))] ^= 1 << int(random.integers(8))
        path.write_bytes(bad)
        with pytest.raises(ArtifactError):
            Bundle.open(tmp_path / "b").verify()
        path.write_bytes(good)
    Bundle.open(tmp_path / "b").verify()
    (folder / "extra").touch()
    with pytest.raises(CorruptBundle, match="extra"):
        Bundle.open(tmp_path / "b").verify()
    (folder / "extra").unlink()
    shutil.copy(folder / "ids.txt", folder / "failures.jsonl")
    with pytest.raises(CorruptBundle, match=r"failures\.jsonl"):
        Bundle.open(tmp_path / "b").verify()
