"""The loss of a cross-encoder: which of a group is correct, and whether each is."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.optim import LBFGS, Optimizer

from tusou.encoders.cross.network import CrossNetwork


def matching_loss(logits: Tensor, used: Tensor) -> Tensor:
    """Return the mean cross entropy over each group and the mean binary cross entropy, added.

    Logits and `used` are (q, c), and the first of each group is correct. The first term orders the
    candidates; the second makes the logit of a pair mean the same for every query. In it, correct
    and other images have the same weight.
    """
    first = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    ordering = cross_entropy(logits.masked_fill(~used, -torch.inf), first)
    targets = torch.zeros_like(logits)
    targets[:, 0] = 1
    weights = used.float()
    weights[:, 0] = used[:, 1:].sum(dim=1).clamp(min=1)
    each = binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum")
    return ordering + each / weights.sum()


def start_from_cosines(network: CrossNetwork, cosines: Tensor, used: Tensor) -> None:
    """Set the scale and the bias with which the cosines (q, c) alone have the least loss.

    Without it the bias of the cosines, which differs between models, would be the first thing that
    the network learns. The first of each group is correct; `used` is that of `matching_loss`.
    """
    scale = network.scale.detach().cpu().clone().requires_grad_()
    bias = (-scale.detach() * cosines[:, 0].mean()).requires_grad_()
    optimiser: Optimizer = LBFGS([scale, bias], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimiser.zero_grad()
        loss = matching_loss(scale * cosines + bias, used)
        torch.autograd.backward(loss)
        return float(loss.detach())

    optimiser.step(closure)
    with torch.no_grad():
        network.scale.copy_(scale.clamp(min=1.0))
        network.head.bias.fill_(float(bias))
