"""Cross entropy of texts over images and of images over texts."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from tusou_lab.train.losses.base import BatchTargets
from tusou_lab.train.models import Features


def multi_positive_loss(features: Features, targets: BatchTargets) -> Tensor:
    """Return `contrastive_loss`, in which every correct pair of the batch counts as correct."""
    return contrastive_loss(
        features.images.float(), features.texts.float(), features.scale, targets.correct
    )


def cn_clip_loss(features: Features, targets: BatchTargets) -> Tensor:
    """Return the loss of cn_clip, in which each text has one correct image, its own."""
    own = torch.eye(*targets.correct.shape, dtype=torch.bool, device=targets.correct.device)
    return contrastive_loss(features.images.float(), features.texts.float(), features.scale, own)


def contrastive_loss(
    image_features: Tensor, text_features: Tensor, scale: Tensor, correct: Tensor
) -> Tensor:
    """Return the mean cross entropy of texts over images and of images over texts.

    Features are (m, d) and (n, d) unit rows. `correct` (n, m) is True where the text of a row is
    known to describe the image of a column; each row's target is shared evenly among its correct
    images. Images without a text are wrong ones to the texts, and find nothing themselves. With
    only the diagonal set, this is the loss of cn_clip.
    """
    per_text = (scale * text_features @ image_features.t()).float()
    describes = correct.float()
    described = correct.any(dim=0)
    to_images = cross_entropy(per_text, normalize(describes, p=1, dim=1))
    to_texts = cross_entropy(
        per_text.t()[described], normalize(describes.t()[described], p=1, dim=1)
    )
    return (to_images + to_texts) / 2
