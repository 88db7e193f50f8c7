"""The shape of a cn_clip model, read from the tensors of its checkpoint and nothing else."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Literal, Protocol, TypeAlias

from tusou.core.errors import BadModel

TEXT_EPS, IMAGE_EPS = 1e-12, 1e-5  # of the layer norms
QUICK = 1.702  # cn_clip's image towers use x * sigmoid(1.702 x) for gelu

# Heads leave no trace in the tensors. Every published tower has heads of 64 but ViT-H's image
# tower, 1,280 wide, whose heads are 80.
_HEAD_WIDTH = 64
_WIDE_HEADS = {1280: 80}

# A tower with fewer weights to a token is done on one core before others could join, and spends
# its time between the products, where bf16 gains nothing: the demo model is as fast in fp32.
_HEAVY = 10_000_000


class Shaped(Protocol):
    """A tensor, of torch or of anything else, as far as its shape goes."""

    @property
    def ndim(self) -> int:
        """Count its axes."""
        ...

    @property
    def shape(self) -> Sequence[int]:
        """Give the size of each axis."""
        ...


@dataclass(frozen=True, slots=True)
class TextShape:
    """A text tower, in the words of cn_clip's configuration files."""

    embed_dim: int
    vocab_size: int
    text_hidden_size: int
    text_num_hidden_layers: int
    text_num_attention_heads: int
    text_intermediate_size: int
    text_max_position_embeddings: int
    text_type_vocab_size: int

    @property
    def is_transformer(self) -> bool:
        """Text towers all are."""
        return True

    @property
    def heavy(self) -> bool:
        """Tell whether products are what takes the time."""
        return self.text_num_hidden_layers * self.text_hidden_size**2 * 12 >= _HEAVY


@dataclass(frozen=True, slots=True)
class ImageShape:
    """An image tower, in the words of cn_clip's configuration files."""

    embed_dim: int
    image_resolution: int
    vision_layers: int | tuple[int, ...]  # a transformer's depth, or a ResNet's four stages
    vision_width: int
    vision_patch_size: int | None  # None for a ResNet
    vision_head_width: int

    @property
    def is_transformer(self) -> bool:
        """Tell it from a ResNet."""
        return isinstance(self.vision_layers, int)

    @property
    def heavy(self) -> bool:
        """Tell whether products are what takes the time."""
        if not isinstance(self.vision_layers, int):
            return True
        return self.vision_layers * self.vision_width**2 * 12 >= _HEAVY


Tower: TypeAlias = Literal["text", "image"]
TowerShape: TypeAlias = TextShape | ImageShape


def read_text_shape(tensors: Mapping[str, Shaped]) -> TextShape:
    """Read the text tower's shape; BadModel when a tensor is missing."""
    vocab, hidden = _shape(tensors, "bert.embeddings.word_embeddings.weight", 2)
    positions, _ = _shape(tensors, "bert.embeddings.position_embeddings.weight", 2)
    types, _ = _shape(tensors, "bert.embeddings.token_type_embeddings.weight", 2)
    intermediate, _ = _shape(tensors, "bert.encoder.layer.0.intermediate.dense.weight", 2)
    _, dim = _shape(tensors, "text_projection", 2)
    return TextShape(
        embed_dim=dim,
        vocab_size=vocab,
        text_hidden_size=hidden,
        text_num_hidden_layers=_depth(tensors, "bert.encoder.layer"),
        text_num_attention_heads=_heads(hidden, _HEAD_WIDTH),
        text_intermediate_size=intermediate,
        text_max_position_embeddings=positions,
        text_type_vocab_size=types,
    )


def read_image_shape(tensors: Mapping[str, Shaped]) -> ImageShape:
    """Read the image tower's shape, transformer or ResNet; BadModel when a tensor is missing."""
    if "visual.attnpool.positional_embedding" in tensors:
        return _read_resnet(tensors)
    return _read_transformer(tensors)


def _read_transformer(tensors: Mapping[str, Shaped]) -> ImageShape:
    width, _, _, patch = _shape(tensors, "visual.conv1.weight", 4)
    places, _ = _shape(tensors, "visual.positional_embedding", 2)
    _, dim = _shape(tensors, "visual.proj", 2)
    head_width = _WIDE_HEADS.get(width, _HEAD_WIDTH)
    _heads(width, head_width)
    return ImageShape(
        embed_dim=dim,
        image_resolution=_grid(places) * patch,
        vision_layers=_depth(tensors, "visual.transformer.resblocks"),
        vision_width=width,
        vision_patch_size=patch,
        vision_head_width=head_width,
    )


def _read_resnet(tensors: Mapping[str, Shaped]) -> ImageShape:
    width, *_ = _shape(tensors, "visual.layer1.0.conv1.weight", 4)
    places, pooled = _shape(tensors, "visual.attnpool.positional_embedding", 2)
    dim, _ = _shape(tensors, "visual.attnpool.c_proj.weight", 2)
    _heads(pooled, _HEAD_WIDTH)
    return ImageShape(
        embed_dim=dim,
        image_resolution=_grid(places) * 32,  # a ResNet halves the image five times
        vision_layers=tuple(_depth(tensors, f"visual.layer{stage}") for stage in (1, 2, 3, 4)),
        vision_width=width,
        vision_patch_size=None,
        vision_head_width=_HEAD_WIDTH,
    )


def _shape(tensors: Mapping[str, Shaped], name: str, rank: int) -> tuple[int, ...]:
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != rank:
        raise BadModel(f"not a cn_clip checkpoint: it has no fitting tensor {name!r}")
    return tuple(tensor.shape)


def _depth(tensors: Mapping[str, Shaped], prefix: str) -> int:
    numbered = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    found = {int(match[1]) for name in tensors if (match := numbered.match(name))}
    if not found:
        raise BadModel(f"not a cn_clip checkpoint: it has no layers {prefix!r}")
    return len(found)


def _heads(width: int, head_width: int) -> int:
    if width % head_width:
        raise BadModel(f"cannot tell the heads of a tower {width} wide: not a multiple of 64")
    return width // head_width


def _grid(places: int) -> int:
    side = isqrt(max(places - 1, 0))
    if side < 1 or side * side != places - 1:
        raise BadModel(f"{places - 1} image positions are not a square grid")
    return side
