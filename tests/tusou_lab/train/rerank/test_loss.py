"""The loss of a cross-encoder, and the scale and bias that training starts from."""

from math import exp, log

import pytest
import torch
from tusou_lab.train.rerank.loss import matching_loss, start_from_cosines

from tusou.encoders.cross.network import CrossNetwork
from tusou.encoders.cross.shape import CrossShape


def test_both_terms_by_hand() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5, 9.0]])
    used = torch.tensor([[True, True, True, False]])
    ordering = log(sum(exp(logit) for logit in (2.0, -1.0, 0.5))) - 2.0
    each = 2 * log(1 + exp(-2.0)) + log(1 + exp(-1.0)) + log(1 + exp(0.5))
    assert float(matching_loss(logits, used)) == pytest.approx(ordering + each / 4, abs=1e-6)


def test_a_group_without_negatives_has_a_finite_loss() -> None:
    logits = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = matching_loss(logits, torch.tensor([[True, False]]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(log(1 + exp(-1.0)))
    assert logits.grad is not None
    assert logits.grad[0, 1] == 0


def test_training_starts_from_the_best_line_over_the_cosines() -> None:
    rng = torch.Generator().manual_seed(3)
    cosines = 0.3 + 0.05 * torch.randn(400, 6, generator=rng)
    cosines[:, 0] += 0.05
    used = torch.ones(400, 6, dtype=torch.bool)
    network = CrossNetwork(CrossShape(48, 40, 4, 2, 64, 2))
    start_from_cosines(network, cosines, used)
    scale, bias = network.scale.item(), network.head.bias.item()
    best = float(matching_loss(scale * cosines + bias, used))
    assert best < float(matching_loss(20 * cosines, used)) - 1
    for other in (
        matching_loss(scale * 1.2 * cosines + bias, used),
        matching_loss(scale * cosines + bias + 0.5, used),
    ):
        assert best < float(other)
