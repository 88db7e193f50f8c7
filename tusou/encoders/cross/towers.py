"""Tokens of texts and images from the towers of a checkpoint."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tusou.core.arrays import Pixels
from tusou.core.errors import InvalidRequest
from tusou.encoders.architecture import ImageShape, TextShape
from tusou.encoders.base import Weights
from tusou.encoders.checkpoint import TensorReader, read_weights
from tusou.encoders.cross.network import pool_tokens
from tusou.encoders.cross.shape import CrossShape, shape_over
from tusou.encoders.families import find_family
from tusou.encoders.families.chinese_clip import ChineseClip
from tusou.encoders.select_backend import resolve_encoder
from tusou.encoders.torch.encoder import to_input
from tusou.encoders.torch.towers import ImageTower, TextTower, pack_texts

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def new_shape(weights: Weights, layers: int) -> CrossShape:
    """Return the shape of a new cross-encoder; InvalidRequest for another family's towers."""
    family = find_family(weights)
    if family.name != ChineseClip.name:
        raise InvalidRequest(
            "A cross-encoder is trained over the towers of Chinese-CLIP, and the bundle's model is "
            f"of the family {family.name}."
        )
    text, image = family.read_shape(weights, "text"), family.read_shape(weights, "image")
    assert isinstance(text, TextShape)
    assert isinstance(image, ImageShape)
    return shape_over(text, image, layers)


class TextTokens:
    """The text tower without its last layer, whose other tokens than [CLS] have no objective."""

    def __init__(self, weights: Weights, device: str) -> None:
        resolved = resolve_encoder(weights, "text", device, backend="torch")
        assert isinstance(resolved.shape, TextShape)
        self._device = torch.device(resolved.device)
        self._tokenizer = resolved.open_tokenizer()
        reader = TensorReader(read_weights(weights), "text", self._device)
        self._tower = TextTower(reader, resolved.shape, _DTYPES[resolved.precision])

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> list[Tensor]:
        """Return the tokens of each text, (tokens, width) float32 on the device."""
        ids = self._tokenizer.prepare(texts).ids
        order = np.argsort(np.count_nonzero(ids, axis=1), kind="stable")
        packed = pack_texts(ids[order], self._device)
        rows = self._tower.tokens(packed).float()
        lengths = np.count_nonzero(ids[order], axis=1).tolist()
        parts = torch.split(rows[: sum(lengths)], lengths)
        return [parts[position] for position in np.argsort(order).tolist()]


class ImageTokens:
    """The image tower without its last layer, which the contrastive loss reads at [CLS] alone."""

    def __init__(self, weights: Weights, pool: int, device: str) -> None:
        resolved = resolve_encoder(weights, "image", device, backend="torch")
        shape = resolved.shape
        assert isinstance(shape, ImageShape)
        if not shape.is_transformer:
            raise InvalidRequest("A cross-encoder needs the patch tokens of a vision transformer.")
        self._device, self._pool = torch.device(resolved.device), pool
        reader = TensorReader(read_weights(weights), "image", self._device)
        self._tower = ImageTower(reader, shape, _DTYPES[resolved.precision])

    @torch.inference_mode()
    def encode(self, pixels: Pixels) -> Tensor:
        """Return the pooled tokens of images, (n, tokens, width) float32 on the device.

        Takes images made by `to_pixels`, (n, size, size, 3).
        """
        images = to_input(torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device))
        return pool_tokens(self._tower.tokens(images), self._pool).float()


def half(tokens: Tensor) -> npt.NDArray[np.float16]:
    """Return tokens in half precision, as they are stored."""
    stored: npt.NDArray[np.float16] = tokens.half().cpu().numpy()
    return stored
