"""The protocol of a model that can be trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from torch import Tensor, nn

from tusou.encoders.base import Tokens
from tusou.images.transform import ImageTransform

# The part of a model that a parameter belongs to. The head is what the towers share or end in:
# projections into the common space, scale and bias.
Part: TypeAlias = Literal["vision", "text", "head"]
Loss: TypeAlias = Literal["softmax", "sigmoid"]


@dataclass(frozen=True, slots=True)
class Traits:
    """Properties of a model that its training depends on."""

    digest: str  # SHA-256 of the files that the model was opened from
    transform: ImageTransform
    loss: Loss  # that the family was trained with
    saved_as: Literal["file", "folder"]
    has_vit: bool  # cn_clip trains a ViT with other settings of the optimiser than a ResNet
    can_mask: bool = False  # patches of an image can be left out
    fresh: frozenset[str] = frozenset()  # parameters that no training has touched yet
    half: frozenset[str] = frozenset()  # tensors that are saved in half precision


@dataclass(frozen=True, slots=True)
class Features:
    """The result of a forward pass over a batch of pairs."""

    images: Tensor  # (m, d) unit rows
    texts: Tensor  # (n, d) unit rows
    scale: Tensor  # of a cosine
    bias: Tensor | None  # of a scaled cosine, for the sigmoid loss


class TrainableModel(Protocol):
    """A network of two towers in float32, with what surrounds it.

    Pixels are (n, side, side, 3) uint8, made by `traits.transform`; tokens are those of
    `tokenize`, (n, width), padded with 0. Both are on the device of the network.
    """

    @property
    def network(self) -> nn.Module: ...

    @property
    def traits(self) -> Traits: ...

    @property
    def scale(self) -> float:
        """The scale of a cosine at this moment, the reciprocal of the temperature."""
        ...

    @property
    def largest_scale(self) -> float | None:
        """The limit that `limit_scale` keeps the scale below, if the family has one."""
        ...

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Tokenise texts as the model's encoder does."""
        ...

    def encode_images(self, pixels: Tensor, mask: float = 0.0) -> Tensor:
        """Return the vectors (n, d) of images, of any length.

        `mask` leaves out this share of an image's patches, drawn at random; `can_mask` says whether
        the model can.
        """
        ...

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """Return the vectors (n, d) of texts, of any length."""
        ...

    def scale_and_bias(self) -> tuple[Tensor, Tensor | None]:
        """Return the scale of a cosine, and the bias of the scaled one for the sigmoid loss."""
        ...

    def part_of(self, name: str) -> Part:
        """Return the part of the model that a parameter or a submodule belongs to."""
        ...

    def limit_scale(self) -> None:
        """Put the scale back into the family's limits after a step, if it has any."""
        ...

    def save(self, path: Path, epoch: int, step: int) -> None:
        """Write the model in its original format, replacing `path`."""
        ...
