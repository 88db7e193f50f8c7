"""The protocol of a loss, and what it is told about a batch."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from torch import Tensor

from tusou_lab.train.models import Features

# `family` stands for the loss that the model was trained with.
LossName: TypeAlias = Literal["family", "cn_clip", "multi-positive", "sigmoid"]


@dataclass(frozen=True, slots=True)
class LossSpec:
    """The settings of a loss."""

    loss: LossName = "family"


@dataclass(frozen=True, slots=True)
class BatchTargets:
    """The images of a batch that are correct for its texts, on the device of the features.

    A batch holds n texts and m images: the image of each text, in their order, and further images
    that are correct for none of them.
    """

    correct: Tensor  # (n, m) bool: is the column's image correct for the row's text
    queries: Tensor  # (n,) positions of the texts in the split
    images: Tensor  # (m,) positions of the images in the split


class PairLoss(Protocol):
    """A loss over all features of a batch; a module of torch if it has parameters of its own."""

    def __call__(self, features: Features, targets: BatchTargets) -> Tensor:
        """Return the loss, a scalar in float32."""
        ...
