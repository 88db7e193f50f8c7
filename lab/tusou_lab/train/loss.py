"""The contrastive loss of cn_clip without its false negatives."""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax


def contrastive_loss(
    image_features: Tensor, text_features: Tensor, scale: Tensor, correct: Tensor
) -> Tensor:
    """Return the mean cross entropy of texts over images and of images over texts.

    Features are (n, d) unit rows. `correct` (n, n) is True where the text of a row is known to
    describe the image of a column; each row's target is shared evenly among its correct images.
    With only the diagonal set, this is the loss of cn_clip.
    """
    per_text = scale * text_features @ image_features.t()
    return (
        _shared_target_loss(per_text, correct) + _shared_target_loss(per_text.t(), correct.t())
    ) / 2


def _shared_target_loss(logits: Tensor, correct: Tensor) -> Tensor:
    target = correct.to(torch.float32)
    target = target / target.sum(dim=1, keepdim=True)
    return -(target * log_softmax(logits.float(), dim=1)).sum(dim=1).mean()
