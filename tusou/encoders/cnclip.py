"""Chinese-CLIP encoders: all of cn_clip's published models and any checkpoint like them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tusou.encoders.architecture import ImageShape, TextShape, read_image_shape, read_text_shape
from tusou.encoders.base import Tokens
from tusou.encoders.checkpoint import TensorReader, read_tensors
from tusou.encoders.devices import pick_device, pick_precision
from tusou.encoders.tokens import CONTEXT, ClipTokenizer
from tusou.encoders.towers import ImageTower, TextTower, pack
from tusou.errors import BadModel
from tusou.registry import Lazy
from tusou.types import Pixels, Vectors

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)

# Rows computed at once: enough to fill the device, few enough to stay in a processor's cache and
# to bound the memory of a large call.
_TEXT_ROWS = {"cpu": 64, "cuda": 1024}
_IMAGE_ROWS = {"cpu": 8, "cuda": 128}

_RESNET = Lazy("tusou.encoders.resnet:ResNetTower")  # imports torchvision


class ClipTextEncoder:
    """The text tower of a checkpoint; the image tower costs neither time nor memory."""

    def __init__(self, path: Path, device: str, precision: str) -> None:
        self._device = pick_device(device)
        tensors = read_tensors(path)
        shape = read_text_shape(tensors)
        self._tokenizer = ClipTokenizer()
        _check_tokens_fit(shape, self._tokenizer.vocab_size)
        reader = TensorReader(tensors, ("bert.", "text_projection"), self._device)
        self._tower = TextTower(reader, shape, pick_precision(precision, self._device))
        self.dim = shape.embed_dim

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch."""
        return self._tokenizer.prepare(texts)

    @torch.inference_mode()
    def encode(self, tokens: Tokens) -> Vectors:
        """Encode in groups of like length; no padding is computed."""
        lengths = np.count_nonzero(tokens.ids, axis=1)
        vectors = np.empty((len(lengths), self.dim), dtype=np.float32)
        order = np.argsort(lengths, kind="stable")
        at_once = _TEXT_ROWS[self._device.type]
        for start in range(0, len(order), at_once):
            rows = order[start : start + at_once]
            vectors[rows] = _unit_rows(self._tower(pack(tokens.ids[rows], self._device)))
        return vectors


class ClipImageEncoder:
    """The image tower of a checkpoint; the text tower costs neither time nor memory."""

    def __init__(self, path: Path, device: str, precision: str) -> None:
        self._device = pick_device(device)
        tensors = read_tensors(path)
        shape = read_image_shape(tensors)
        dtype = pick_precision(precision, self._device)
        self._tower = _image_tower(tensors, shape, self._device, dtype)
        self.dim, self.image_size = shape.embed_dim, shape.image_resolution

    @torch.inference_mode()
    def encode(self, pixels: Pixels) -> Vectors:
        """Encode squares made by `tusou.images.to_pixels`."""
        vectors = np.empty((len(pixels), self.dim), dtype=np.float32)
        at_once = _IMAGE_ROWS[self._device.type]
        for start in range(0, len(pixels), at_once):
            rows = slice(start, start + at_once)
            batch = torch.from_numpy(pixels[rows]).to(self._device)
            vectors[rows] = _unit_rows(self._tower(to_input(batch)))
        return vectors


def to_input(pixels: Tensor) -> Tensor:
    """Turn (n, size, size, 3) uint8 into normalised (n, 3, size, size) float32.

    Bit for bit what torchvision's ToTensor and Normalize make, on whichever device the pixels are.
    """
    mean, std = (
        torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (_MEAN, _STD)
    )
    return pixels.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(mean).div_(std)


def _image_tower(
    tensors: Mapping[str, Tensor], shape: ImageShape, device: torch.device, precision: torch.dtype
) -> Callable[[Tensor], Tensor]:
    if isinstance(shape.vision_layers, int):
        return ImageTower(TensorReader(tensors, ("visual.",), device), shape, precision)
    resnet = cast("Callable[..., Callable[[Tensor], Tensor]]", _RESNET.load())
    return resnet(tensors, shape, device, precision)


def _check_tokens_fit(shape: TextShape, vocab_size: int) -> None:
    if shape.vocab_size < vocab_size:
        raise BadModel(f"the model knows {shape.vocab_size} tokens; cn_clip's has {vocab_size}")
    if shape.text_max_position_embeddings < CONTEXT:
        raise BadModel(f"the model has fewer than the {CONTEXT} text positions needed")


def _unit_rows(features: Tensor) -> Vectors:
    vectors: Vectors = normalize(features).cpu().numpy()
    return vectors
