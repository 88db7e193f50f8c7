"""Chinese-CLIP on the cn_clip package: all its published models and any checkpoint like them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from cn_clip.clip.configuration_bert import BertConfig
from cn_clip.clip.model import ModifiedResNet, VisualTransformer, convert_weights
from cn_clip.clip.modeling_bert import BertModel
from cn_clip.clip.utils import _download
from torch import Tensor, nn
from torch.nn.functional import normalize

from tusou.encoders.architecture import ImageShape, TextShape, read_image_shape, read_text_shape
from tusou.encoders.base import Tokens
from tusou.encoders.checkpoint import fill, read_tensors
from tusou.encoders.tokens import CONTEXT, ClipTokenizer
from tusou.errors import BadModel, InvalidRequest
from tusou.types import Pixels, Vectors

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)

# Rows computed at once: enough to fill the device, few enough to bound the memory of a large call.
_TEXT_ROWS = 64
_IMAGE_ROWS = 32


def download(name: str, cache: Path) -> Path:
    """Fetch a published checkpoint into the cache, once; BadModel when that fails."""
    try:
        return Path(_download(name, str(cache)))
    except Exception as error:  # the hub client and its transport raise anything
        raise BadModel(
            f"could not download {name} into {cache} ({type(error).__name__}); put the published "
            "checkpoint there by hand, or give the path of one"
        ) from error


def pick_device(device: str) -> torch.device:
    """Resolve `auto`, `cpu`, `cuda` or `cuda:N`; InvalidRequest when it is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", device):
        raise InvalidRequest(f"No device {device!r}: use auto, cpu, cuda or cuda:N.")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InvalidRequest(f"This machine has no CUDA device {device!r}: use auto or cpu.")
    return chosen


class _TextTower(nn.Module):
    """Token ids (n, width) to features (n, dim): the text half of cn_clip's CLIP."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.bert = BertModel(
            BertConfig(
                shape.vocab_size,
                hidden_size=shape.text_hidden_size,
                num_hidden_layers=shape.text_num_hidden_layers,
                num_attention_heads=shape.text_num_attention_heads,
                intermediate_size=shape.text_intermediate_size,
                max_position_embeddings=shape.text_max_position_embeddings,
                type_vocab_size=shape.text_type_vocab_size,
            )
        )
        self.text_projection = nn.Parameter(torch.empty(shape.text_hidden_size, shape.embed_dim))

    def forward(self, ids: Tensor) -> Tensor:
        mask = ids.ne(0).to(self.text_projection.dtype)
        hidden: Tensor = self.bert(ids, attention_mask=mask)[0]
        return hidden[:, 0] @ self.text_projection


def _image_tower(shape: ImageShape) -> nn.Module:
    """Build the image half of cn_clip's CLIP, as its constructor does."""
    if isinstance(shape.vision_layers, tuple):
        resnet: nn.Module = ModifiedResNet(
            layers=shape.vision_layers,
            output_dim=shape.embed_dim,
            heads=shape.vision_width * 32 // shape.vision_head_width,
            input_resolution=shape.image_resolution,
            width=shape.vision_width,
        )
        return resnet
    transformer: nn.Module = VisualTransformer(
        input_resolution=shape.image_resolution,
        patch_size=shape.vision_patch_size,
        width=shape.vision_width,
        layers=shape.vision_layers,
        heads=shape.vision_width // shape.vision_head_width,
        output_dim=shape.embed_dim,
    )
    return transformer


def to_input(pixels: Tensor) -> Tensor:
    """Turn (n, size, size, 3) uint8 into normalised (n, 3, size, size) float32.

    Bit for bit what torchvision's ToTensor and Normalize make, on whichever device the pixels are.
    """
    mean, std = (
        torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (_MEAN, _STD)
    )
    return pixels.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(mean).div_(std)


class ClipTextEncoder:
    """The text tower of a checkpoint; the image tower is never read."""

    def __init__(self, path: Path, device: str) -> None:
        tensors = read_tensors(path)
        shape = read_text_shape(tensors)
        self._tokenizer = ClipTokenizer()
        if shape.vocab_size < self._tokenizer.vocab_size:
            raise BadModel(f"{path.name} knows {shape.vocab_size} tokens, too few for cn_clip's")
        if shape.text_max_position_embeddings < CONTEXT:
            raise BadModel(f"{path.name} has fewer text positions than the {CONTEXT} needed")
        self._device = pick_device(device)
        with torch.device("meta"):
            self._tower = _TextTower(shape)
        text = {k: v for k, v in tensors.items() if k.startswith(("bert.", "text_projection"))}
        fill(self._tower, text, self._device)
        _set_precision(self._tower, self._device)
        self.dim = shape.embed_dim

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Tokenise a batch."""
        return self._tokenizer.prepare(texts)

    def encode(self, tokens: Tokens) -> Vectors:
        """Encode in groups of like length, so that few padding tokens are computed."""
        lengths = np.count_nonzero(tokens.ids, axis=1)
        vectors = np.empty((len(lengths), self.dim), dtype=np.float32)
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), _TEXT_ROWS):
            rows = order[start : start + _TEXT_ROWS]
            ids = torch.from_numpy(tokens.ids[rows, : lengths[rows[-1]]])
            vectors[rows] = _unit_rows(self._tower, ids.to(self._device))
        return vectors


class ClipImageEncoder:
    """The image tower of a checkpoint; the text tower is never read."""

    def __init__(self, path: Path, device: str) -> None:
        tensors = read_tensors(path)
        shape = read_image_shape(tensors)
        self._device = pick_device(device)
        with torch.device("meta"):
            self._tower = _image_tower(shape)
        prefix = "visual."
        image = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        fill(self._tower, image, self._device)
        self._dtype = _set_precision(self._tower, self._device)
        self.dim, self.image_size = shape.embed_dim, shape.image_resolution

    def encode(self, pixels: Pixels) -> Vectors:
        """Encode a batch of squares made by `tusou.images.to_pixels`."""
        vectors = np.empty((len(pixels), self.dim), dtype=np.float32)
        for start in range(0, len(pixels), _IMAGE_ROWS):
            rows = slice(start, start + _IMAGE_ROWS)
            batch = to_input(torch.from_numpy(pixels[rows]).to(self._device))
            vectors[rows] = _unit_rows(self._tower, batch.to(self._dtype))
        return vectors


def _set_precision(tower: nn.Module, device: torch.device) -> torch.dtype:
    """Compute as cn_clip does: in half precision on a GPU, in single on a CPU."""
    if device.type != "cuda":
        return torch.float32
    convert_weights(tower)
    return torch.float16


@torch.inference_mode()
def _unit_rows(tower: Callable[[Tensor], Tensor], batch: Tensor) -> Vectors:
    features: Vectors = normalize(tower(batch).float()).cpu().numpy()
    return features
