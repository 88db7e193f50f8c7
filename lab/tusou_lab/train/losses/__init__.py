"""The losses of a contrastive training."""

from tusou_lab.train.losses.base import BatchTargets, LossName, LossSpec, PairLoss
from tusou_lab.train.losses.sigmoid import sigmoid_loss
from tusou_lab.train.losses.softmax import cn_clip_loss, multi_positive_loss
from tusou_lab.train.models import Traits

__all__ = ["BatchTargets", "LossName", "LossSpec", "PairLoss", "make_loss", "resolve_loss"]

_LOSSES: dict[str, PairLoss] = {
    "cn_clip": cn_clip_loss,
    "multi-positive": multi_positive_loss,
    "sigmoid": sigmoid_loss,
}


def resolve_loss(name: LossName, traits: Traits) -> str:
    """Return the name of a loss, for `family` that of the model."""
    if name != "family":
        return name
    return "multi-positive" if traits.loss == "softmax" else "sigmoid"


def make_loss(spec: LossSpec, traits: Traits) -> PairLoss:
    """Return the loss that the settings name."""
    return _LOSSES[resolve_loss(spec.loss, traits)]
