"""Opening a bundle: what is refused, and sources and weights that have changed."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import version_of
from tusou.core.errors import (
    BadModel,
    CorruptBundle,
    IncompatibleBundle,
    InsufficientMemory,
    UnknownItem,
)
from tusou.encoders import find_weights, resolve_encoder
from tusou.retrieval.pipeline import SearchPipeline


def republish(root: Path, **changes: object) -> None:
    """Change values of the manifest, and rename the version accordingly."""
    version = (root / "CURRENT").read_text().strip()
    path = root / version / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for key, value in changes.items():
        part = manifest
        *parents, last = key.split("__")
        for parent in parents:
            part = part[parent]
        part[last] = value
    path.write_text(json.dumps(manifest))
    name = version_of(path)
    (root / version).rename(root / name)
    (root / "CURRENT").write_text(name + "\n")


def test_unknown_ids_and_a_changed_source_give_no_image(copy: Path, pool: Path) -> None:
    opened = SearchPipeline.open(copy).bundle
    for item_id in ("999", "01000", "1000 ", "", "../CURRENT", "9" * 30):
        with pytest.raises(UnknownItem, match="no item of this id"):
            opened.image(item_id)
    republish(copy, source__path=str(pool) + ".gone")
    with pytest.raises(UnknownItem, match="is missing or has changed"):
        SearchPipeline.open(copy).bundle.image("1000")
    changed = bytearray(pool.read_bytes())
    changed[changed.index(b"\t") + 40] ^= 1  # one bit of the first image's base64
    (copy / "changed.tsv").write_bytes(changed)
    republish(copy, source__path=str(copy / "changed.tsv"))
    with pytest.raises(UnknownItem, match="is missing or has changed"):
        SearchPipeline.open(copy).bundle.image("1000")
    assert SearchPipeline.open(copy).bundle.image("1001")[1] == "image/jpeg"


def test_refuses_weights_of_another_digest(copy: Path, tiny_model: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(tiny_model, weights_only=True)
    checkpoint["epoch"] = 1
    torch.save(checkpoint, tmp_path / "other.pt")
    with pytest.raises(IncompatibleBundle, match="give the right model with --model"):
        SearchPipeline.open(copy, model=str(tmp_path / "other.pt"))


def test_names_the_weights_that_are_missing(copy: Path) -> None:
    republish(copy, model__location="/nowhere/model.pt")
    with pytest.raises(IncompatibleBundle, match=r"tiny\.pt.* not where they were"):
        SearchPipeline.open(copy)


def test_refuses_a_model_that_encodes_the_golden_texts_differently(copy: Path) -> None:
    golden = next(copy.glob("*/golden.json"))
    stored = json.loads(golden.read_bytes())
    stored["vectors"][0] = [-value for value in stored["vectors"][0]]
    golden.write_text(json.dumps(stored))
    manifest = json.loads((golden.parent / "manifest.json").read_bytes())
    digest = hashlib.sha256(golden.read_bytes()).hexdigest()
    manifest["files"]["golden.json"] = {"size": golden.stat().st_size, "sha256": digest}
    republish(copy, files=manifest["files"])
    with pytest.raises(IncompatibleBundle, match="golden texts differently"):
        SearchPipeline.open(copy)


@pytest.mark.parametrize("number", [1, 3, 99], ids=["oldest", "older", "newer"])
def test_refuses_another_bundle_format(copy: Path, number: int) -> None:
    republish(copy, format=number)
    with pytest.raises(IncompatibleBundle, match=f"format {number}, this Tusou reads 4; index ag"):
        SearchPipeline.open(copy)


def test_refuses_files_that_do_not_belong_together(copy: Path) -> None:
    republish(copy, counts={"items": 299, "embedded": 299, "failed": 0, "truncated": 0})
    with pytest.raises(CorruptBundle, match="299 x 64 numbers"):
        SearchPipeline.open(copy)


@pytest.mark.parametrize("name", ["ids.txt", "index.bin", "vectors.npy", "manifest.json"])
def test_refuses_a_flipped_bit(copy: Path, name: str) -> None:
    path = next(copy.glob(f"*/{name}"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(CorruptBundle):
        SearchPipeline.open(copy)


@pytest.mark.parametrize("current", ["", "../elsewhere", "0123456789abcdef"])
def test_refuses_a_current_that_names_nothing(copy: Path, current: str) -> None:
    (copy / "CURRENT").write_text(current)
    with pytest.raises(CorruptBundle):
        SearchPipeline.open(copy)


def test_a_bundle_that_does_not_fit_is_not_loaded(
    bundle: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = find_weights(str(tiny_model))
    opened_bundle = Bundle.open(bundle)
    files = opened_bundle.manifest.files
    assert opened_bundle.manifest.index.factory == "Flat"
    vectors = 4 * opened_bundle.item_count * opened_bundle.dim
    loaded = files["index.bin"].size + files["spans.npy"].size + vectors
    text = resolve_encoder(weights, "text", "cpu", "fp32").min_memory
    image = resolve_encoder(weights, "image", "cpu", "fp32").min_memory
    free = loaded + text
    monkeypatch.setattr("tusou.core.memory_budget.available_memory", lambda: free)
    opened = SearchPipeline.open(bundle)
    free = image - 1
    with pytest.raises(InsufficientMemory):
        opened.load_image_tower()
    free = loaded + text - 1
    monkeypatch.setattr("tusou.retrieval.pipeline.open_text_model", None)
    with pytest.raises(InsufficientMemory):
        SearchPipeline.open(bundle)


def test_refuses_a_file_that_is_not_a_checkpoint(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "not.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises((BadModel, IncompatibleBundle)):
        SearchPipeline.open(copy, model=str(tmp_path / "not.pt"))


def test_images_are_read_after_the_versions_folder_is_deleted(copy: Path) -> None:
    opened = SearchPipeline.open(copy).bundle
    shutil.rmtree(opened.folder)
    assert opened.image("1000")[1] == "image/png"


def test_an_image_tower_of_other_weights_is_not_loaded(
    copy: Path, tiny_model: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "tiny.pt"
    shutil.copy(tiny_model, weights)
    opened = SearchPipeline.open(copy, model=str(weights))
    weights.write_bytes(b"another file")
    with pytest.raises(IncompatibleBundle, match="was made with weights"):
        opened.load_image_tower()
