"""Shapes of the published models, read from their tensors."""

from typing import Any

import pytest
import torch
from cn_clip.clip.model import CLIP
from torch import Tensor

from tusou.core.errors import BadModel
from tusou.encoders.architecture import cn_clip_config, read_image_shape, read_text_shape
from tusou.encoders.checkpoint import TensorReader
from tusou.encoders.torch.resnet import ResNetTower
from tusou.encoders.torch.towers import ImageTower, TextTower

# Settings that cannot be read from the tensors and do not change the vectors.
UNSEEN = {
    "text_attention_probs_dropout_prob",
    "text_hidden_dropout_prob",
    "text_hidden_act",
    "text_initializer_range",
}


def stock(config: dict[str, Any]) -> CLIP:
    with torch.device("meta"):  # shapes only: ViT-H would take 4 GB
        return CLIP(**config)


def test_shapes_equal_the_published_configuration(published: dict[str, Any]) -> None:
    tensors = stock(published).state_dict()
    read = cn_clip_config(read_image_shape(tensors), read_text_shape(tensors))
    expected = {"vision_head_width": 64} | published
    if isinstance(expected["vision_layers"], list):
        expected["vision_layers"] = tuple(expected["vision_layers"])
    assert read == {key: value for key, value in expected.items() if key not in UNSEEN}


def test_towers_read_every_tensor_and_have_as_many_heads_as_stock(
    published: dict[str, Any],
) -> None:
    model, meta = stock(published), torch.device("meta")
    tensors = model.state_dict()
    text = TextTower(
        TensorReader(tensors, "text", meta),
        read_text_shape(tensors),
        torch.float32,
    )
    shape = read_image_shape(tensors)
    assert text._heads == model.bert.encoder.layer[0].attention.self.num_attention_heads
    if isinstance(shape.vision_layers, int):
        image = ImageTower(TensorReader(tensors, "image", meta), shape, torch.float32)
        assert image._heads == model.visual.transformer.resblocks[0].attn.num_heads
    else:
        resnet = ResNetTower(tensors, shape, meta, torch.float32)._visual
        assert resnet.attnpool.num_heads == model.visual.attnpool.num_heads


def changed(**tensors: Tensor | None) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in (TENSORS | tensors).items() if tensor is not None}


TENSORS = {
    "visual.conv1.weight": torch.empty(128, 3, 16, 16, device="meta"),
    "visual.positional_embedding": torch.empty(17, 128, device="meta"),
    "visual.proj": torch.empty(128, 48, device="meta"),
    "visual.transformer.resblocks.0.ln_1.weight": torch.empty(128, device="meta"),
}


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        pytest.param("visual.conv1.weight", None, "visual.conv1.weight", id="missing"),
        pytest.param("visual.proj", (48,), "visual.proj", id="wrong-rank"),
        pytest.param("visual.conv1.weight", (100, 3, 16, 16), "heads", id="odd-width"),
        pytest.param("visual.positional_embedding", (16, 128), "square", id="not-square"),
        pytest.param("visual.positional_embedding", (0, 128), "square", id="no-positions"),
        pytest.param("visual.transformer.resblocks.0.ln_1.weight", None, "layers", id="no-layers"),
    ],
)
def test_tensors_of_another_model_are_refused(
    name: str, shape: tuple[int, ...] | None, message: str
) -> None:
    assert read_image_shape(TENSORS).image_resolution == 64
    tensor = None if shape is None else torch.empty(shape, device="meta")
    with pytest.raises(BadModel, match=message):
        read_image_shape(changed(**{name: tensor}))


def test_a_checkpoint_without_a_text_tower_is_refused() -> None:
    with pytest.raises(BadModel, match="not a cn_clip checkpoint"):
        read_text_shape(TENSORS)
