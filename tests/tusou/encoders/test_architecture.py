"""The shape of every published model is read from its tensors alone."""

from dataclasses import asdict
from typing import Any

import pytest
import torch
from cn_clip.clip.model import CLIP
from torch import Tensor, nn

from tusou.encoders.architecture import read_image_shape, read_text_shape
from tusou.encoders.checkpoint import unfilled
from tusou.encoders.cnclip import ImageTower, TextTower
from tusou.errors import BadModel

# What a configuration says that leaves no trace in the tensors and no mark on the vectors.
UNSEEN = {
    "text_attention_probs_dropout_prob",
    "text_hidden_dropout_prob",
    "text_hidden_act",
    "text_initializer_range",
}


def stock(config: dict[str, Any]) -> CLIP:
    with torch.device("meta"):  # shapes only: ViT-H would take 4 GB
        return CLIP(**config)


def heads(model: nn.Module) -> set[int]:
    names = ("num_heads", "num_attention_heads")
    return {
        getattr(part, name) for part in model.modules() for name in names if hasattr(part, name)
    }


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def test_reads_what_the_configuration_says(published: dict[str, Any]) -> None:
    tensors = stock(published).state_dict()
    read = asdict(read_text_shape(tensors)) | asdict(read_image_shape(tensors))
    expected = {"vision_head_width": 64} | published
    if isinstance(expected["vision_layers"], list):
        expected["vision_layers"] = tuple(expected["vision_layers"])
    assert read == {key: value for key, value in expected.items() if key not in UNSEEN}


def test_builds_towers_of_the_same_tensors_and_heads(published: dict[str, Any]) -> None:
    model = stock(published)
    with unfilled():
        text = TextTower(read_text_shape(model.state_dict()))
        image = ImageTower(read_image_shape(model.state_dict()))
    assert shapes(text) | shapes(image) | {"logit_scale": ()} == shapes(model)
    assert heads(text) == heads(model.bert)
    assert heads(image) == heads(model.visual)


def changed(**tensors: Tensor | None) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in (TENSORS | tensors).items() if tensor is not None}


TENSORS = {
    "visual.conv1.weight": torch.empty(128, 3, 16, 16, device="meta"),
    "visual.positional_embedding": torch.empty(17, 128, device="meta"),
    "visual.proj": torch.empty(128, 48, device="meta"),
    "visual.transformer.resblocks.0.ln_1.weight": torch.empty(128, device="meta"),
}


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        pytest.param("visual.conv1.weight", None, "visual.conv1.weight", id="missing"),
        pytest.param("visual.proj", (48,), "visual.proj", id="wrong-rank"),
        pytest.param("visual.conv1.weight", (100, 3, 16, 16), "heads", id="odd-width"),
        pytest.param("visual.positional_embedding", (16, 128), "square", id="not-square"),
        pytest.param("visual.positional_embedding", (0, 128), "square", id="no-positions"),
        pytest.param("visual.transformer.resblocks.0.ln_1.weight", None, "layers", id="no-layers"),
    ],
)
def test_refuses_what_is_no_cn_clip_model(
    name: str, shape: tuple[int, ...] | None, words: str
) -> None:
    assert read_image_shape(TENSORS).image_resolution == 64
    tensor = None if shape is None else torch.empty(shape, device="meta")
    with pytest.raises(BadModel, match=words):
        read_image_shape(changed(**{name: tensor}))


def test_refuses_a_file_without_a_text_tower() -> None:
    with pytest.raises(BadModel, match="not a cn_clip checkpoint"):
        read_text_shape(TENSORS)
