"""The loss of SigLIP: binary cross entropy of every pair."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from tusou_lab.train.losses.base import BatchTargets
from tusou_lab.train.models import Features


def sigmoid_loss(features: Features, targets: BatchTargets) -> Tensor:
    """Return the binary cross entropy of all pairs, summed over a row and averaged over rows.

    The bias, if the model has one, is added to the scaled cosine. With only the diagonal correct,
    this is the loss of SigLIP.
    """
    logits = features.scale * features.texts.float() @ features.images.float().t()
    if features.bias is not None:
        logits = logits + features.bias
    signs = 2 * targets.correct.float() - 1
    return -logsigmoid(signs * logits).sum(dim=1).mean()
