"""Finding a model by name, path or `demo`, and its digest."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import cn_clip.clip.utils
import numpy as np
import pytest
from cn_clip.clip.utils import available_models
from hub_server import HubServer, Repository
from PIL import Image

from tusou.bundle.model_record import ModelSource
from tusou.core.errors import BadModel, InvalidRequest
from tusou.encoders import MODELS, Weights, find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.open_clip_architecture import with_architecture
from tusou.encoders.weights import open_again
from tusou.images.preprocess import to_pixels

KNOWN_ANSWERS = Path(__file__).parents[4] / "shared/data/known_answers"

CONTENT = b"weights"
COMMIT, OLD_COMMIT = "a" * 40, "b" * 40
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


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    files = {"clip_cn_rn50.pt": CONTENT, "config.json": b"{}", "model.safetensors": CONTENT}
    old = {**files, "clip_cn_rn50.pt": b"old weights"}
    repository = Repository({COMMIT: files, OLD_COMMIT: old})
    ids = "OFA-Sys/chinese-clip-rn50", "AI-ModelScope/chinese-clip-rn50"
    with HubServer(dict.fromkeys(ids, repository)).running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
        monkeypatch.setenv("TUSOU_MODELS", str(tmp_path / "models"))
        yield server


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_a_published_model_is_downloaded_once(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TUSOU_HUB", name)
    weights = find_weights("RN50", tmp_path)
    owner = {"huggingface": "OFA-Sys", "modelscope": "AI-ModelScope"}[name]
    source = ModelSource.model_validate(
        {"hub": name, "id": f"{owner}/chinese-clip-rn50", "revision": COMMIT}
    )
    assert weights == Weights(tmp_path / "models/clip_cn_rn50.pt", "RN50", DIGEST, source)
    assert weights.location == "RN50"
    hub.requests.clear()
    assert find_weights("RN50", tmp_path) == weights
    assert hub.requests == []


def test_the_cache_of_cn_clip_takes_downloads_by_default(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUSOU_MODELS")
    assert find_weights("RN50", tmp_path).path == tmp_path / "clip_cn_rn50.pt"


def test_a_bundle_names_the_commit_of_a_published_model(hub: HubServer, tmp_path: Path) -> None:
    source = ModelSource(hub="huggingface", id="OFA-Sys/chinese-clip-rn50", revision=OLD_COMMIT)
    weights = find_weights("RN50", tmp_path, source=source)
    assert weights.path.read_bytes() == b"old weights"
    assert weights.source == source


def test_an_id_of_a_hub_is_found_again_at_its_commit(hub: HubServer, tmp_path: Path) -> None:
    weights = find_weights("OFA-Sys/chinese-clip-rn50")
    assert weights.name == "OFA-Sys/chinese-clip-rn50"
    assert weights.location == f"huggingface:OFA-Sys/chinese-clip-rn50@{COMMIT}"
    assert weights.path.is_dir()
    assert find_weights(weights.location) == weights


def test_a_checkpoint_of_open_clip_has_its_architecture(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(CONTENT)
    weights = find_weights(f"open_clip:ViT-B-32@{tmp_path}/a.pt")
    plain = Weights(tmp_path / "a.pt", "a.pt", DIGEST)
    assert weights == with_architecture(plain, "ViT-B-32")
    assert (weights.path, weights.name, weights.open_clip) == (plain.path, "a.pt", "ViT-B-32")
    assert find_weights(weights.location) == weights
    files = {"open_clip_pytorch_model.bin": CONTENT, "open_clip_config.json": b"{}"}
    hub.repositories["laion/x"] = Repository({COMMIT: files})
    of_hub = find_weights("open_clip:ViT-B-32@laion/x")
    assert of_hub.location == f"open_clip:ViT-B-32@huggingface:laion/x@{COMMIT}"
    assert (of_hub.open_clip, of_hub.digest) == ("ViT-B-32", weights.digest)


def test_each_architecture_over_one_file_is_a_model_of_its_own(tmp_path: Path) -> None:
    """The tensors of ViT-B-32 and ViT-B-32-quickgelu are the same; their vectors are not."""
    (tmp_path / "a.pt").write_bytes(CONTENT)
    names = ["ViT-B-32", "ViT-B-32-quickgelu"]
    digests = {find_weights(f"open_clip:{name}@{tmp_path}/a.pt").digest for name in names}
    assert len(digests | {DIGEST}) == 3


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


def test_weights_are_opened_again_by_their_path_and_digest(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(CONTENT)
    for name in (f"{tmp_path}/a.pt", f"open_clip:ViT-B-32@{tmp_path}/a.pt"):
        weights = find_weights(name)
        architecture = [weights.open_clip] if weights.open_clip else []
        opened = open_again(weights.path, weights.digest, *architecture)
        assert (opened.digest, opened.open_clip) == (weights.digest, weights.open_clip)


def test_another_file_or_architecture_is_not_opened_again(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(CONTENT)
    weights = find_weights(f"open_clip:ViT-B-32@{tmp_path}/a.pt")
    with pytest.raises(BadModel, match="changed while it was read"):
        open_again(weights.path, weights.digest, "ViT-B-32-quickgelu")
    (tmp_path / "a.pt").write_bytes(b"other weights")
    with pytest.raises(BadModel, match="changed while it was read"):
        open_again(weights.path, weights.digest, "ViT-B-32")


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
