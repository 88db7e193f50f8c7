"""Random checkpoints in cn_clip's format, each with the stock model that it was saved from."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cn_clip.clip
import pytest
import torch
from cn_clip.clip.model import CLIP, convert_weights

from tusou.encoders import find_weights
from tusou.encoders.architecture import cn_clip_config, read_image_shape, read_text_shape
from tusou.encoders.checkpoint import read_tensors

CONFIGS = Path(cn_clip.clip.__file__).parent / "model_configs"

PUBLISHED = {
    "ViT-B-16": "RoBERTa-wwm-ext-base-chinese",
    "ViT-L-14": "RoBERTa-wwm-ext-base-chinese",
    "ViT-L-14-336": "RoBERTa-wwm-ext-base-chinese",
    "ViT-H-14": "RoBERTa-wwm-ext-large-chinese",
    "RN50": "RBT3-chinese",
}


def published_config(name: str) -> dict[str, Any]:
    """Return the keyword arguments cn_clip builds a published model from."""
    parts = [json.loads((CONFIGS / f"{part}.json").read_text()) for part in (name, PUBLISHED[name])]
    config: dict[str, Any] = parts[0] | parts[1]
    if isinstance(config["vision_layers"], str):
        config["vision_layers"] = json.loads(config["vision_layers"])
    return config


TINY = published_config("ViT-B-16") | {
    "embed_dim": 48,
    "image_resolution": 64,
    "vision_layers": 2,
    "vision_width": 128,
    "text_hidden_size": 128,
    "text_intermediate_size": 192,
    "text_max_position_embeddings": 60,
    "text_num_attention_heads": 2,
    "text_num_hidden_layers": 2,
}


@dataclass(frozen=True)
class Sample:
    """A checkpoint file, and the stock model in float32 that gives the expected vectors."""

    path: Path
    stock: CLIP
    image_size: int


def random_model(config: dict[str, Any]) -> CLIP:
    """Build a model that distinguishes inputs, with biases and norms other than 0 and 1."""
    torch.manual_seed(5)
    model = CLIP(**config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
        elif parameter.ndim > 1 and "embedding" not in name:
            fan_in = parameter[0].numel()
            parameter.data.mul_(1.2 / (parameter.data.std() * fan_in**0.5))
    convert_weights(model)
    return model


def training_checkpoint(model: CLIP) -> dict[str, object]:
    """Return the checkpoint that cn_clip's training would save."""
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    return {"epoch": 3, "step": 7, "name": "random", "state_dict": state}


def sample_of(config: dict[str, Any], folder: Path) -> Sample:
    model = random_model(config)
    torch.save(training_checkpoint(model), folder / "checkpoint.pt")
    return Sample(folder / "checkpoint.pt", model.float().eval(), config["image_resolution"])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Save a model of 3 million parameters, nearly all of them word embeddings."""
    return sample_of(TINY, tmp_path_factory.mktemp("tiny"))


def demo_sample(folder: Path) -> Sample:
    path = folder / "demo.pt"  # converted weights are stored beside it
    shutil.copy(find_weights("demo").path, path)
    tensors = read_tensors(path)
    image, text = read_image_shape(tensors), read_text_shape(tensors)
    stock = CLIP(**TINY | cn_clip_config(image, text))
    stock.load_state_dict(tensors)
    return Sample(path, stock.float().eval(), image.image_resolution)


@pytest.fixture(scope="session", params=["tiny", "demo", "RN50", "ViT-B-16", "ViT-H-14"])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Return each kind of model in turn: the demo model, and random ones of published shapes."""
    if request.param == "tiny":
        tiny: Sample = request.getfixturevalue("tiny")
        return tiny
    if request.param == "demo":
        return demo_sample(tmp_path_factory.mktemp("demo"))
    config = published_config(request.param)
    if request.param == "ViT-H-14":  # for its heads; one layer of it is as large as all of ViT-B/16
        config |= {"vision_layers": 1, "text_num_hidden_layers": 1}
    return sample_of(config, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def converts_here() -> Iterator[None]:
    """Convert in this process, for speed; the subprocess has a test of its own."""
    conversion = pytest.importorskip("tusou.encoders.openvino.convert")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tusou.encoders.openvino.encoders._run_converter", conversion.convert)
        yield


@pytest.fixture(scope="module", params=["torch", "openvino"])
def backend(request: pytest.FixtureRequest) -> str:
    """Return each backend in turn."""
    if request.param == "openvino":
        request.getfixturevalue("converts_here")
    return str(request.param)


@pytest.fixture(params=PUBLISHED)
def published(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the configuration of each published model in turn."""
    return published_config(request.param)
