"""Chinese-CLIP on the cn_clip package: all its published models and any checkpoint like them."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tusou.encoders.architecture import ImageShape, TextShape, read_image_shape, read_text_shape
from tusou.encoders.base import Tokens
from tusou.encoders.checkpoint import fill, read_tensors, unfilled
from tusou.encoders.cn_clip_parts import import_part
from tusou.encoders.devices import pick_device
from tusou.encoders.tokens import CONTEXT, ClipTokenizer
from tusou.errors import BadModel
from tusou.types import Pixels, Vectors

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)

# Rows computed at once: enough to fill the device, few enough to bound the memory of a large call.
_TEXT_ROWS = 64
_IMAGE_ROWS = 32


class ClipTextEncoder:
    """The text tower of a checkpoint; the image tower costs neither time nor memory."""

    def __init__(self, path: Path, device: str) -> None:
        self._device = pick_device(device)
        tensors = read_tensors(path)
        shape = read_text_shape(tensors)
        self._tokenizer = ClipTokenizer()
        _check_tokens_fit(shape, self._tokenizer.vocab_size)
        with unfilled():
            self._tower = TextTower(shape)
        fill(self._tower, tensors, ("bert.", "text_projection"), self._device)
        if self._device.type == "cuda":
            self._tower.half()  # as cn_clip computes on a GPU
        self.dim = shape.embed_dim

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch."""
        return self._tokenizer.prepare(texts)

    def encode(self, tokens: Tokens) -> Vectors:
        """Encode in groups of like length, so that little padding is computed."""
        lengths = np.count_nonzero(tokens.ids, axis=1)
        vectors = np.empty((len(lengths), self.dim), dtype=np.float32)
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), _TEXT_ROWS):
            rows = order[start : start + _TEXT_ROWS]
            ids = torch.from_numpy(tokens.ids[rows, : lengths[rows[-1]]])
            vectors[rows] = _unit_rows(self._tower, ids.to(self._device))
        return vectors


class ClipImageEncoder:
    """The image tower of a checkpoint; the text tower costs neither time nor memory."""

    def __init__(self, path: Path, device: str) -> None:
        self._device = pick_device(device)
        tensors = read_tensors(path)
        shape = read_image_shape(tensors)
        with unfilled():
            self._tower = ImageTower(shape)
        fill(self._tower, tensors, ("visual.",), self._device)
        if self._device.type == "cuda":
            self._tower.half_as_cn_clip()
        self.dim, self.image_size = shape.embed_dim, shape.image_resolution

    def encode(self, pixels: Pixels) -> Vectors:
        """Encode squares made by `tusou.images.to_pixels`."""
        vectors = np.empty((len(pixels), self.dim), dtype=np.float32)
        for start in range(0, len(pixels), _IMAGE_ROWS):
            rows = slice(start, start + _IMAGE_ROWS)
            batch = torch.from_numpy(pixels[rows]).to(self._device)
            vectors[rows] = _unit_rows(self._tower, to_input(batch))
        return vectors


def to_input(pixels: Tensor) -> Tensor:
    """Turn (n, size, size, 3) uint8 into normalised (n, 3, size, size) float32.

    Bit for bit what torchvision's ToTensor and Normalize make, on whichever device the pixels are.
    """
    mean, std = (
        torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (_MEAN, _STD)
    )
    return pixels.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(mean).div_(std)


class TextTower(nn.Module):
    """Token ids (n, width) to features (n, dim): the text half of cn_clip's CLIP."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        bert = import_part("modeling_bert")
        config = bert.BertConfig(
            shape.vocab_size,
            hidden_size=shape.text_hidden_size,
            num_hidden_layers=shape.text_num_hidden_layers,
            num_attention_heads=shape.text_num_attention_heads,
            intermediate_size=shape.text_intermediate_size,
            max_position_embeddings=shape.text_max_position_embeddings,
            type_vocab_size=shape.text_type_vocab_size,
        )
        self.bert = bert.BertModel(config)
        self.text_projection = nn.Parameter(torch.empty(shape.text_hidden_size, shape.embed_dim))

    def forward(self, ids: Tensor) -> Tensor:
        """Project the last hidden state of [CLS]; padding (0) is masked out."""
        mask = ids.ne(0).to(self.text_projection.dtype)
        hidden: Tensor = self.bert(ids, attention_mask=mask)[0]
        return hidden[:, 0] @ self.text_projection


class ImageTower(nn.Module):
    """Normalised pictures (n, 3, size, size) to features (n, dim): the other half of CLIP."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self._cn_clip = import_module("cn_clip.clip.model")  # imports torchvision: only when needed
        common = {"output_dim": shape.embed_dim, "input_resolution": shape.image_resolution}
        if isinstance(shape.vision_layers, tuple):
            self.visual = self._cn_clip.ModifiedResNet(
                layers=shape.vision_layers,
                heads=shape.vision_width * 32 // shape.vision_head_width,
                width=shape.vision_width,
                **common,
            )
        else:
            self.visual = self._cn_clip.VisualTransformer(
                patch_size=shape.vision_patch_size,
                width=shape.vision_width,
                layers=shape.vision_layers,
                heads=shape.vision_width // shape.vision_head_width,
                **common,
            )

    def half_as_cn_clip(self) -> None:
        """Convert to half precision what cn_clip converts: the norms stay in single."""
        self._cn_clip.convert_weights(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the features at the tower's own precision."""
        features: Tensor = self.visual(pictures.to(self.visual.conv1.weight.dtype))
        return features


def _check_tokens_fit(shape: TextShape, vocab_size: int) -> None:
    if shape.vocab_size < vocab_size:
        raise BadModel(f"the model knows {shape.vocab_size} tokens; cn_clip's has {vocab_size}")
    if shape.text_max_position_embeddings < CONTEXT:
        raise BadModel(f"the model has fewer than the {CONTEXT} text positions needed")


@torch.inference_mode()
def _unit_rows(tower: Callable[[Tensor], Tensor], batch: Tensor) -> Vectors:
    features: Vectors = normalize(tower(batch).float()).cpu().numpy()
    return features
