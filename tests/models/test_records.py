"""The record of a bundle's encoder is checked at every start, and shown."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.build_from_vectors import build_from_vectors
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.vector_build_inputs import VectorBuildSpec

from tests.browser.serving import serving
from tests.drawing import image_line
from tests.models.tiny import SIDE, save_tiny_siglip, write_card
from tusou import open_bundle
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadModel, IncompatibleBundle
from tusou.retrieval.compatibility import find_bundle_weights

pytestmark = [pytest.mark.models, pytest.mark.timeout(500)]


class Notices(NoProgress):
    """Keeps the notices of a build."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def notice(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_siglip(tmp_path_factory.mktemp("record") / "siglip")
    write_card(folder, "cc-by-nc-4.0")
    return folder


@pytest.fixture(scope="module")
def original(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """Return a bundle, the folder of its model, and the notices of its build."""
    folder = tmp_path_factory.mktemp("recorded")
    pool = folder / "MR_test_imgs.tsv"
    pool.write_bytes(b"".join(image_line(f"{n}.jpg", n) for n in range(20)))
    notices = Notices()
    spec = BuildSpec(str(pool), str(model), workers=1, device="cpu", precision="fp32")
    build(spec, folder / "bundle", notices)
    return folder / "bundle", model, notices.sentences


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    fields = json.loads(path.read_bytes())
    change(fields)
    path.write_text(json.dumps(fields))


CHANGES = {
    "interpolation": (
        "preprocessor_config.json",
        {"resample": 2},
        "transform.interpolation is bilinear, not bicubic",
    ),
    "side": (
        "preprocessor_config.json",
        {"size": {"height": 48, "width": 48}},
        f"transform.side is 48, not {SIDE}",
    ),
    "mean": (
        "preprocessor_config.json",
        {"image_mean": [0.4, 0.5, 0.5]},
        "mean is (0.4, 0.5, 0.5), not (0.5, 0.5, 0.5)",
    ),
    "case": ("tokenizer_config.json", {"do_lower_case": False}, "lower_case is False, not True"),
    "tokenizer": ("tokenizer_config.json", {"model_max_length": 99}, "tokenizer_sha256 is "),
    "config": ("config.json", {"initializer_factor": 2.0}, "found siglip (sha256 "),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_another_setting_is_refused_and_named(
    original: tuple[Path, Path, list[str]], tmp_path: Path, name: str
) -> None:
    bundle, model, _ = original
    file, fields, sentence = CHANGES[name]
    changed = Path(shutil.copytree(model, tmp_path / "siglip"))
    edit(changed / file, lambda settings: settings.update(fields))
    with pytest.raises(IncompatibleBundle) as raised:
        open_bundle(bundle, model=str(changed), device="cpu")
    assert sentence in str(raised.value)


def test_settings_that_the_bundle_does_not_have_are_refused(
    original: tuple[Path, Path, list[str]],
) -> None:
    """A later version of the code may read the same files in another way."""
    manifest = Bundle.open(original[0]).manifest
    encoder = manifest.model.encoder
    assert encoder is not None
    other = encoder.model_copy(update={"context_length": 12})
    model = manifest.model.model_copy(update={"encoder": other})
    with pytest.raises(IncompatibleBundle, match="context_length is 16, not 12"):
        find_bundle_weights(manifest.model_copy(update={"model": model}))


def test_a_copy_without_the_card_is_the_same_model(
    original: tuple[Path, Path, list[str]], tmp_path: Path
) -> None:
    bundle, model, _ = original
    copy = Path(shutil.copytree(model, tmp_path / "elsewhere"))
    (copy / "README.md").unlink()
    with open_bundle(bundle, model=str(copy), device="cpu") as search:
        assert len(search.search("红色碎花裙", 5).item_ids) == 5


def test_a_licence_that_forbids_commerce_is_said(original: tuple[Path, Path, list[str]]) -> None:
    _, _, notices = original
    assert "the licence of siglip is cc-by-nc-4.0, which forbids commercial use" in notices


def test_a_folder_that_does_not_describe_its_images_is_refused(model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "siglip"))
    (copy / "preprocessor_config.json").unlink()
    pool = tmp_path / "MR_test_imgs.tsv"
    pool.write_bytes(image_line("1.jpg", 1))
    spec = BuildSpec(str(pool), str(copy), device="cpu")
    with pytest.raises(BadModel, match=r"copy preprocessor_config\.json"):
        build(spec, tmp_path / "bundle", NoProgress())


def test_the_service_tells_the_licence(
    original: tuple[Path, Path, list[str]], tmp_path: Path
) -> None:
    bundle, _, _ = original
    with serving(bundle, tmp_path / "log", TUSOU_DEVICE="cpu", TUSOU_PRECISION="fp32") as site:
        info = httpx.get(f"{site.url}/info", timeout=30).json()
    assert info["backend"] == "transformers"
    assert info["models"] == [
        {"name": "siglip", "family": "siglip", "license": "cc-by-nc-4.0", "non_commercial": True}
    ]


def test_a_service_does_not_start_with_another_revision(
    original: tuple[Path, Path, list[str]], tmp_path: Path
) -> None:
    bundle, model, _ = original
    other = Path(shutil.copytree(model, tmp_path / "siglip"))
    edit(other / "preprocessor_config.json", lambda fields: fields.update(resample=2))
    command = [sys.executable, "-m", "tusou", "serve", str(bundle), "--port", "0"]
    done = subprocess.run(
        [*command, "--model", str(other), "--device", "cpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78  # no restart can help
    assert "incompatible_bundle" in done.stderr
    assert "transform.interpolation is bilinear, not bicubic" in done.stderr


def test_a_bundle_of_vectors_records_the_encoder_of_its_queries(
    original: tuple[Path, Path, list[str]], tmp_path: Path
) -> None:
    _, model, _ = original
    vectors = np.random.default_rng(0).normal(size=(30, 32)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    (tmp_path / "ids.txt").write_text("".join(f"{n}.jpg\n" for n in range(30)))
    spec = VectorBuildSpec(
        *(tmp_path / "vectors.npy", tmp_path / "ids.txt", IndexRequest("Flat", None)),
        model=str(model),
        device="cpu",
    )
    notices = Notices()
    build_from_vectors(spec, tmp_path / "bundle", notices)
    assert Bundle.open(tmp_path / "bundle").models[0].family == "siglip"
    assert "which forbids commercial use" in notices.sentences[-1]
    with open_bundle(tmp_path / "bundle", device="cpu") as search:
        assert len(search.search("红色碎花裙", 5).item_ids) == 5
