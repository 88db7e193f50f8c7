"""The loss of SigLIP: binary cross entropy of every pair."""

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from tusou_lab.train.losses.base import BatchTargets
from tusou_lab.train.models import Features

_BISECTIONS = 60


class SigmoidLoss(nn.Module):
    """`sigmoid_loss`, with a bias of its own for models that have none.

    Without a bias, almost all pairs of a batch, which are wrong ones, begin with a large loss. The
    first batch chooses it so that as many pairs are expected to be correct as are; from then on it
    is trained. It shifts all scores equally, so the saved model does not need it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.register_buffer("is_chosen", torch.zeros((), dtype=torch.bool))

    def forward(self, features: Features, targets: BatchTargets) -> Tensor:
        """Return the loss, a scalar."""
        logits = _scaled(features)
        if not self.is_chosen:
            with torch.no_grad():
                self.bias.copy_(_fit_bias(logits, targets.correct))
                self.get_buffer("is_chosen").fill_(True)  # noqa: FBT003
        return _cross_entropy(logits + self.bias, targets.correct)


def sigmoid_loss(features: Features, targets: BatchTargets) -> Tensor:
    """Return the binary cross entropy of all pairs, summed over a row and averaged over rows.

    The bias, if the model has one, is added to the scaled cosine. With only the diagonal correct,
    this is the loss of SigLIP.
    """
    logits = _scaled(features)
    if features.bias is not None:
        logits = logits + features.bias
    return _cross_entropy(logits, targets.correct)


def _scaled(features: Features) -> Tensor:
    return features.scale * features.texts.float() @ features.images.float().t()


def _cross_entropy(logits: Tensor, correct: Tensor) -> Tensor:
    signs = 2 * correct.float() - 1
    return -logsigmoid(signs * logits).sum(dim=1).mean()


def _fit_bias(logits: Tensor, correct: Tensor) -> Tensor:
    """Return the bias with which the probabilities of all pairs sum up to the correct ones."""
    low, high = -logits.amax() - 50, -logits.amin() + 50
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        too_many = (logits + middle).sigmoid().sum() > correct.sum()
        low, high = torch.where(too_many, low, middle), torch.where(too_many, middle, high)
    return (low + high) / 2
