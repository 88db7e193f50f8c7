"""The triplet loss with a margin, over the hardest negatives of a batch (VSE++)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tusou_lab.train.losses.base import BatchTargets
from tusou_lab.train.models import Features


@dataclass(frozen=True, slots=True)
class TripletLoss:
    """Asks each pair to have a cosine that is by `margin` above that of its hardest negative.

    The negatives of a text are the batch's images that are not correct for it, those of an image
    the texts that it is not correct for. The hardest alone counts: a sum over all is dominated by
    negatives that are nearly far enough away. Cosines are not scaled: the scale is not trained.
    """

    margin: float

    def __call__(self, features: Features, targets: BatchTargets) -> Tensor:
        """Return the mean over the texts and their own images; 0 for one without a negative."""
        cosines = features.texts.float() @ features.images.float().t()
        own = cosines.diagonal()
        negatives = cosines.masked_fill(targets.correct, -torch.inf)
        hardest_image = negatives.amax(dim=1)
        hardest_text = negatives[:, : len(own)].amax(dim=0)
        misses = torch.cat([hardest_image - own, hardest_text - own]) + self.margin
        return misses.clamp(min=0).mean()
