"""The losses of a contrastive training."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tusou_lab.train.losses.arcface import ArcFaceLoss
from tusou_lab.train.losses.base import (
    DEFAULT_MARGINS,
    BatchTargets,
    Duplicates,
    LossName,
    LossSpec,
    PairLoss,
)
from tusou_lab.train.losses.sigmoid import SigmoidLoss, sigmoid_loss
from tusou_lab.train.losses.softmax import cn_clip_loss, multi_positive_loss
from tusou_lab.train.losses.triplet import TripletLoss
from tusou_lab.train.models import Traits

__all__ = [
    "DEFAULT_MARGINS",
    "ArcFaceLoss",
    "BatchTargets",
    "Duplicates",
    "LossName",
    "LossSpec",
    "PairLoss",
    "make_loss",
    "resolve_loss",
]


def resolve_loss(name: LossName, traits: Traits) -> str:
    """Return the name of a loss, for `family` that of the model."""
    if name != "family":
        return name
    return "multi-positive" if traits.loss == "softmax" else "sigmoid"


def make_loss(
    spec: LossSpec,
    traits: Traits,
    items: NDArray[np.int64],
    correct: Sequence[NDArray[np.int64]],
    dim: int,
) -> PairLoss:
    """Return the loss that the settings name.

    Takes the item of each image of the split, the correct images of each query, and the length of
    the model's vectors.
    """
    spec.check()
    name = resolve_loss(spec.loss, traits)
    if name == "arcface":
        return ArcFaceLoss(items, correct, dim, spec.resolved_margin)
    if name == "triplet":
        return TripletLoss(spec.resolved_margin)
    if name == "sigmoid":
        return sigmoid_loss if traits.loss == "sigmoid" else SigmoidLoss()
    return cn_clip_loss if name == "cn_clip" else multi_positive_loss
