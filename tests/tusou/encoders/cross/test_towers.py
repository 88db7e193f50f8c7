"""Tokens of the towers are the hidden states of stock cn_clip before the last layer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from cn_clip.clip import tokenize
from drawing import image_bytes
from tusou_lab.train.models.cn_clip import restore_network

from tusou.core.errors import InvalidRequest
from tusou.encoders import find_weights
from tusou.encoders.architecture import ImageShape, TextShape
from tusou.encoders.cross.shape import shape_over
from tusou.encoders.cross.towers import ImageTokens, TextTokens, new_shape
from tusou.encoders.torch.encoder import to_input
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform

TEXTS = ["红色碎花吊带裙", "裙", "男士黑色皮鞋，2023 新款 😀"]


def hidden_before(layer: torch.nn.Module) -> list[torch.Tensor]:
    """Record what a layer of a stock model takes."""
    taken: list[torch.Tensor] = []
    layer.register_forward_pre_hook(lambda _, arguments: taken.append(arguments[0]))
    return taken


def test_text_tokens_are_those_of_stock_cn_clip(tiny_model: Path) -> None:
    stock = restore_network(find_weights(str(tiny_model))).eval()
    taken = hidden_before(stock.bert.encoder.layer[-1])
    with torch.inference_mode():
        stock.encode_text(tokenize(TEXTS))
    tokens = TextTokens(find_weights(str(tiny_model)), "cpu").encode(TEXTS)
    assert [len(part) for part in tokens] == [(row != 0).sum() for row in tokenize(TEXTS)]
    for ours, theirs in zip(tokens, taken[0], strict=True):
        torch.testing.assert_close(ours, theirs[: len(ours)], rtol=1e-4, atol=1e-4)


def test_image_tokens_are_those_of_stock_cn_clip(tiny_model: Path) -> None:
    stock = restore_network(find_weights(str(tiny_model))).eval()
    taken = hidden_before(stock.visual.transformer.resblocks[-1])
    pixels = np.stack(
        [to_pixels(open_image(image_bytes(seed)), ImageTransform(32)) for seed in range(3)]
    )
    with torch.inference_mode():
        stock.encode_image(to_input(torch.from_numpy(pixels)))
    tokens = ImageTokens(find_weights(str(tiny_model)), 1, "cpu").encode(pixels)
    # cn_clip's own order of dimensions is (tokens, images, width).
    torch.testing.assert_close(tokens, taken[0].permute(1, 0, 2), rtol=1e-4, atol=1e-4)
    pooled = ImageTokens(find_weights(str(tiny_model)), 2, "cpu").encode(pixels)
    patches = tokens[:, 1:].reshape(3, 2, 2, 2, 2, 64).mean(dim=(2, 4)).flatten(1, 2)
    torch.testing.assert_close(pooled[:, 1:], patches)


def test_the_shape_follows_the_towers(tiny_model: Path) -> None:
    shape = new_shape(find_weights(str(tiny_model)), layers=3)
    assert (shape.text_width, shape.image_width, shape.layers) == (64, 64, 3)
    assert (shape.grid, shape.pool, shape.image_tokens) == (4, 2, 5)
    assert shape.bytes_per_item == 2 * 5 * shape.width


def test_the_published_models_keep_a_quarter_of_their_patches_and_resnets_have_none() -> None:
    text = TextShape(512, 21128, 768, 12, 12, 3072, 512, 2)
    base = shape_over(text, ImageShape(512, 224, 12, 768, 16, 64), layers=2)
    assert (base.image_tokens, base.width, base.bytes_per_item) == (50, 256, 25_600)
    with pytest.raises(InvalidRequest, match="RN50"):
        shape_over(text, ImageShape(1024, 224, (3, 4, 6, 3), 64, None, 64), layers=2)
