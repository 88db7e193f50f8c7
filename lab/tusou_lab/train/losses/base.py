"""The protocol of a loss, its settings, and its targets in a batch."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from torch import Tensor

from tusou.core.errors import InvalidRequest
from tusou_lab.train.models import Features

# `family` stands for the loss that the model was trained with.
LossName: TypeAlias = Literal[
    "family", "cn_clip", "multi-positive", "sigmoid", "triplet", "arcface"
]
# Images that count as one: near duplicates, those with the same pixels, or each for itself.
Duplicates: TypeAlias = Literal["near", "exact", "none"]

# The triplet loss takes a difference of cosines, ArcFace an angle in radians.
DEFAULT_MARGINS: dict[str, float] = {"triplet": 0.2, "arcface": 0.2}


@dataclass(frozen=True, slots=True)
class LossSpec:
    """The settings of a loss."""

    loss: LossName = "family"
    margin: float | None = None  # None: the default of a loss that has one
    duplicates: Duplicates = "near"

    def check(self) -> None:
        """Raise InvalidRequest for a margin that the loss does not have."""
        if self.margin is not None and self.loss not in DEFAULT_MARGINS:
            raise InvalidRequest(
                f"--margin is an option of --loss {' and '.join(DEFAULT_MARGINS)}, not of "
                f"{self.loss}: leave it out"
            )

    @property
    def resolved_margin(self) -> float:
        """The margin that is used; KeyError for a loss without one."""
        return DEFAULT_MARGINS[self.loss] if self.margin is None else self.margin


@dataclass(frozen=True, slots=True)
class BatchTargets:
    """The images of a batch that are correct for its texts, on the device of the features.

    A batch holds n texts and m images: the image of each text, in their order, and further images,
    hard negatives of some of the texts. Those may be correct for other texts of the batch. With
    several processes, n and m count what all of them hold.
    """

    correct: Tensor  # (n, m) bool: is the column's image correct for the row's text
    queries: Tensor  # (n,) positions of the texts in the split
    images: Tensor  # (m,) positions of the images in the split


class PairLoss(Protocol):
    """A loss over all features of a batch.

    It depends on nothing but its arguments and its own parameters, so that features may come from
    several processes, or from several passes. A loss with parameters is a module of torch.
    """

    def __call__(self, features: Features, targets: BatchTargets) -> Tensor:
        """Return the loss, a scalar in float32."""
        ...
