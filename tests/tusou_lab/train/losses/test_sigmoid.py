"""The loss of SigLIP."""

from math import exp, log1p

import pytest
import torch
from tusou_lab.train.losses import BatchTargets
from tusou_lab.train.losses.sigmoid import sigmoid_loss
from tusou_lab.train.models import Features


def targets_of(correct: torch.Tensor) -> BatchTargets:
    return BatchTargets(correct, torch.arange(2), torch.arange(2))


def test_sigmoid_loss_is_the_cross_entropy_of_every_pair() -> None:
    images, texts = torch.eye(2), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    correct = torch.eye(2, dtype=torch.bool)
    loss = sigmoid_loss(
        Features(images, texts, torch.tensor(2.0), torch.tensor([-1.0])), targets_of(correct)
    )
    # The logits are 2 * cosine - 1; a pair that is not correct counts with the opposite sign.
    right, wrong = (1.0, 0.6), (-1.0, 0.2)
    expected = sum(log1p(exp(-z)) for z in right) + sum(log1p(exp(z)) for z in wrong)
    assert loss.item() == pytest.approx(expected / 2, rel=1e-6)
    everything = torch.ones(2, 2, dtype=torch.bool)
    unbiased = sigmoid_loss(
        Features(images, texts, torch.tensor(2.0), None), targets_of(everything)
    )
    cosines = (1.0, 0.0, 0.6, 0.8)
    assert unbiased.item() == pytest.approx(sum(log1p(exp(-2 * c)) for c in cosines) / 2, rel=1e-6)
