"""Finding a model by name, path or `demo`, and its digest."""

import hashlib
import json
from pathlib import Path
from typing import NoReturn

import cn_clip.clip.utils
import numpy as np
import pytest
from cn_clip.clip.utils import available_models
from PIL import Image

from tusou.core.errors import BadModel, InvalidRequest
from tusou.encoders import MODELS, Weights, find_weights, load_image_encoder, load_text_encoder
from tusou.images.preprocess import to_pixels

KNOWN_ANSWERS = Path(__file__).parents[4] / "shared/data/known_answers"

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def test_models_and_files_are_those_of_cn_clip() -> None:
    assert list(MODELS) == available_models()
    assert {name: file for name, (_, file) in cn_clip.clip.utils._MODELS.items()} == MODELS


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_is_found_in_the_cache(tmp_path: Path, name: str) -> None:
    (tmp_path / MODELS[name]).write_bytes(CONTENT)
    assert find_weights(name, tmp_path) == Weights(tmp_path / MODELS[name], name, DIGEST)


def test_the_default_cache_is_that_of_cn_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cached = tmp_path / ".cache/clip/clip_cn_rn50.pt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert find_weights("RN50").path == cached


def test_a_model_missing_in_the_cache_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(name: str, root: str) -> str:
        target = Path(root, MODELS[name])
        target.write_bytes(CONTENT)
        return str(target)

    monkeypatch.setattr(cn_clip.clip.utils, "_download", download)
    weights = find_weights("RN50", tmp_path)
    assert weights == Weights(tmp_path / "clip_cn_rn50.pt", "RN50", DIGEST)


def test_the_error_of_a_failed_download_names_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(name: str, root: str) -> NoReturn:
        raise ConnectionError

    monkeypatch.setattr(cn_clip.clip.utils, "_download", download)
    with pytest.raises(BadModel, match=r"ConnectionError.*copy clip_cn_vit-b-16\.pt into"):
        find_weights("ViT-B-16", tmp_path)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ALL_PROXY", "ftp://127.0.0.1:9"), ("http_proxy", "::::"), ("NO_PROXY", "[::1")],
)
def test_a_proxy_that_cannot_be_used_is_named_before_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidRequest, match=r"proxy variables .* cannot be used"):
        find_weights("RN50", tmp_path)
    (tmp_path / "clip_cn_rn50.pt").write_bytes(CONTENT)
    assert find_weights("RN50", tmp_path).digest == DIGEST


def test_a_checkpoint_is_found_by_path(tmp_path: Path) -> None:
    path = tmp_path / "my model.pt"
    path.write_bytes(CONTENT)
    assert find_weights(str(path)) == Weights(path, "my model.pt", DIGEST)


def test_the_demo_model_is_found() -> None:
    weights = find_weights("demo")
    assert (weights.name, weights.path.name) == ("demo", "tusou-demo.pt")
    assert weights.path.stat().st_size <= 10 * 1024**2
    assert load_text_encoder(weights, "cpu").dim == load_image_encoder(weights, "cpu").dim


@pytest.mark.parametrize("model", ["ViT-B-32", "vit-b-16", "nowhere.pt", "", "/"])
def test_an_unknown_model_is_refused(model: str) -> None:
    with pytest.raises(InvalidRequest, match="ViT-L-14-336"):
        find_weights(model)


@pytest.mark.weights
def test_the_published_weights_give_the_published_probabilities() -> None:
    """Softmax of 100 x cosine for one image and four names, to the tolerance of its source."""
    expected = json.loads((KNOWN_ANSWERS / "pokemon_expected.json").read_text(encoding="utf-8"))
    weights = find_weights("ViT-B-16")
    texts = load_text_encoder(weights, "cpu", precision="fp32")
    images = load_image_encoder(weights, "cpu", "fp32")
    with Image.open(KNOWN_ANSWERS / expected["image"]) as image:
        pixels = to_pixels(image, images.transform)[None]
    cosine = texts.encode(texts.prepare(expected["texts"])) @ images.encode(pixels)[0]
    likelihoods = np.exp(expected["logit_scale_exp"] * cosine)
    for published in expected["expected_probs"]:
        np.testing.assert_allclose(likelihoods / likelihoods.sum(), published["probs"], atol=3e-3)
