"""Shapes of the towers; those of cn_clip's are derived from the tensors of a checkpoint."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isqrt
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from tusou.core.errors import BadModel

TEXT_EPS, IMAGE_EPS = 1e-12, 1e-5  # added to the variance in layer norms
QUICK_GELU = 1.702  # OpenAI's and cn_clip's image towers compute gelu as x * sigmoid(1.702 x)

# The width of a head cannot be read from the tensors. It is 64 in every published tower except
# ViT-H's image tower, which is 1,280 wide and has heads of 80.
_HEAD_WIDTH = 64
_WIDE_HEADS = {1280: 80}

# With fewer weights per token, one core is done before others could join, and most of the time is
# spent between the products, where bf16 gains nothing: the demo model is as fast in fp32.
_HEAVY = 10_000_000
# OpenVINO is faster from the size of a small student on, whose text tower has two layers of 256
# (`python -m benchmarks.students speed`).
_COMPILED = 1_500_000


# The function between the two linear layers of a transformer layer.
TowerActivation: TypeAlias = Literal["gelu", "quick_gelu", "gelu_tanh"]


class Shaped(Protocol):
    """Anything with the shape of a tensor, such as a torch.Tensor."""

    @property
    def shape(self) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True)
class TextShape:
    """The shape of a text tower, by the names of cn_clip's configuration files.

    Fields with defaults tell other towers from cn_clip's. A BERT (`bert`) normalises the sums, and
    its tokens attend to the whole text; the text tower of OpenAI's CLIP (`clip`) normalises before
    each part of a layer, and its tokens attend to those before them. A text's vector is made of its
    first token, its last, or the mean of all.
    """

    embed_dim: int
    vocab_size: int
    text_hidden_size: int
    text_num_hidden_layers: int
    text_num_attention_heads: int
    text_intermediate_size: int
    text_max_position_embeddings: int
    text_type_vocab_size: int  # 0: there are no types
    layout: Literal["bert", "clip"] = "bert"
    activation: TowerActivation = "gelu"
    eps: float = TEXT_EPS
    pooling: Literal["first", "last", "mean"] = "first"
    first_id: int = 0  # what `Tokens` has for the vocabulary's 0; 1 unless that is padding
    position_offset: int = 0  # rows of the table of positions that precede a text's first token
    final_norm: bool = False  # `ln_final`, between the pooled token and the projection
    projection_hidden: int = 0  # width of the hidden layer of a projection of two layers
    projection_bias: bool = False
    tower: ClassVar[Literal["text"]] = "text"
    is_transformer: ClassVar[bool] = True

    @property
    def heavy(self) -> bool:
        """Return whether matrix products take most of the time."""
        return self._products >= _HEAVY

    @property
    def gains_from_compiling(self) -> bool:
        """Return whether OpenVINO, which compiles a tower when it is loaded, is worth that."""
        return self._products >= _COMPILED

    @property
    def _products(self) -> int:
        """The multiplications of all layers for a token, without attention."""
        return self.text_num_hidden_layers * self.text_hidden_size**2 * 12

    @property
    def positions(self) -> int:
        """The most tokens that a text can have."""
        return self.text_max_position_embeddings - self.position_offset


@dataclass(frozen=True, slots=True)
class ImageShape:
    """The shape of an image tower, by the names of cn_clip's configuration files.

    Fields with defaults tell the vision transformers of other models from cn_clip's.
    """

    embed_dim: int
    image_resolution: int
    vision_layers: int | tuple[int, ...]  # a transformer's depth, or a ResNet's four stages
    vision_width: int
    vision_patch_size: int | None  # None for a ResNet
    vision_head_width: int
    vision_intermediate_size: int | None = None  # None: four times the width
    activation: TowerActivation = "quick_gelu"
    eps: float = IMAGE_EPS
    patch_bias: bool = False
    first_norm: bool = True  # `visual.ln_pre`, before the first layer
    tower: ClassVar[Literal["image"]] = "image"

    @property
    def is_transformer(self) -> bool:
        """Return whether the tower is a vision transformer and not a ResNet."""
        return isinstance(self.vision_layers, int)

    @property
    def inner_width(self) -> int:
        """The width between the two linear layers of a transformer layer."""
        return self.vision_intermediate_size or 4 * self.vision_width

    @property
    def heavy(self) -> bool:
        """Return whether matrix products take most of the time."""
        layers = self.vision_layers
        return not isinstance(layers, int) or layers * self.vision_width**2 * 12 >= _HEAVY

    @property
    def gains_from_compiling(self) -> bool:
        """Return whether OpenVINO, which compiles a tower when it is loaded, is worth that."""
        return self.heavy


Tower: TypeAlias = Literal["text", "image"]


@dataclass(frozen=True, slots=True)
class LibraryShape:
    """A tower that its library runs, whatever its shape."""

    embed_dim: int
    tower: Tower
    library: str  # the backend: transformers or open_clip
    heavy: ClassVar[bool] = True
    is_transformer: ClassVar[bool] = True


TowerShape: TypeAlias = TextShape | ImageShape | LibraryShape

_CN_CLIP_FIELDS = ("embed_dim", "image_", "vision_", "vocab_size", "text_")

# The tensors of each tower begin with one of these; a text tower has those of BERT or of CLIP.
PREFIXES: dict[Tower, tuple[str, ...]] = {
    "text": (
        "bert.",
        "text_projection",
        "ln_final.",
        "token_embedding.",
        "positional_embedding",
        "transformer.",
    ),
    "image": ("visual.",),
}


def cn_clip_config(image: ImageShape, text: TextShape) -> dict[str, Any]:
    """Return what cn_clip's configuration files say of two of its towers."""
    fields = {**asdict(image), **asdict(text)}
    del fields["vision_intermediate_size"]
    return {name: value for name, value in fields.items() if name.startswith(_CN_CLIP_FIELDS)}


def read_text_shape(tensors: Mapping[str, Shaped], heads: int | None = None) -> TextShape:
    """Return the text tower's shape; BadModel when a tensor is missing or has another rank.

    The number of attention heads is that of the published models of this width, unless given.
    """
    vocab, hidden = shape_of(tensors, "bert.embeddings.word_embeddings.weight", 2)
    positions, _ = shape_of(tensors, "bert.embeddings.position_embeddings.weight", 2)
    types, _ = shape_of(tensors, "bert.embeddings.token_type_embeddings.weight", 2)
    intermediate, _ = shape_of(tensors, "bert.encoder.layer.0.intermediate.dense.weight", 2)
    _, dim = shape_of(tensors, "text_projection", 2)
    return TextShape(
        embed_dim=dim,
        vocab_size=vocab,
        text_hidden_size=hidden,
        text_num_hidden_layers=depth_of(tensors, "bert.encoder.layer"),
        text_num_attention_heads=heads or _heads(hidden, _HEAD_WIDTH),
        text_intermediate_size=intermediate,
        text_max_position_embeddings=positions,
        text_type_vocab_size=types,
    )


def read_image_shape(tensors: Mapping[str, Shaped], heads: int | None = None) -> ImageShape:
    """Return the image tower's shape, transformer or ResNet; BadModel as for the text tower."""
    if "visual.attnpool.positional_embedding" in tensors:
        return _read_resnet(tensors)
    return _read_transformer(tensors, heads)


def _read_transformer(tensors: Mapping[str, Shaped], heads: int | None) -> ImageShape:
    width, _, _, patch = shape_of(tensors, "visual.conv1.weight", 4)
    positions, _ = shape_of(tensors, "visual.positional_embedding", 2)
    _, dim = shape_of(tensors, "visual.proj", 2)
    head_width = width // heads if heads else _WIDE_HEADS.get(width, _HEAD_WIDTH)
    _heads(width, head_width)
    return ImageShape(
        embed_dim=dim,
        image_resolution=_grid(positions) * patch,
        vision_layers=depth_of(tensors, "visual.transformer.resblocks"),
        vision_width=width,
        vision_patch_size=patch,
        vision_head_width=head_width,
    )


def _read_resnet(tensors: Mapping[str, Shaped]) -> ImageShape:
    width, *_ = shape_of(tensors, "visual.layer1.0.conv1.weight", 4)
    positions, pooled = shape_of(tensors, "visual.attnpool.positional_embedding", 2)
    dim, _ = shape_of(tensors, "visual.attnpool.c_proj.weight", 2)
    _heads(pooled, _HEAD_WIDTH)
    return ImageShape(
        embed_dim=dim,
        image_resolution=_grid(positions) * 32,  # a ResNet halves the image five times
        vision_layers=tuple(depth_of(tensors, f"visual.layer{stage}") for stage in (1, 2, 3, 4)),
        vision_width=width,
        vision_patch_size=None,
        vision_head_width=_HEAD_WIDTH,
    )


def shape_of(tensors: Mapping[str, Shaped], name: str, rank: int) -> tuple[int, ...]:
    """Return the shape of a tensor; BadModel if it is missing or of another rank."""
    tensor = tensors.get(name)
    if tensor is None or len(tensor.shape) != rank:
        raise BadModel(f"not a cn_clip checkpoint: it has no tensor {name!r} of rank {rank}")
    return tuple(tensor.shape)


def depth_of(tensors: Mapping[str, Shaped], prefix: str) -> int:
    """Return the number of layers of this prefix; BadModel if there are none."""
    numbered = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    numbers = {int(match[1]) for name in tensors if (match := numbered.match(name))}
    if not numbers:
        raise BadModel(f"not a cn_clip checkpoint: it has no layers {prefix!r}")
    return len(numbers)


def _heads(width: int, head_width: int) -> int:
    if width % head_width:
        raise BadModel(f"a tower {width} wide cannot be divided into heads of {head_width}")
    return width // head_width


def _grid(positions: int) -> int:
    """Return the side of the grid of patches; the first position is the class token's."""
    side = isqrt(max(positions - 1, 0))
    if side < 1 or side * side != positions - 1:
        raise BadModel(f"{positions - 1} image positions are not a square grid")
    return side
