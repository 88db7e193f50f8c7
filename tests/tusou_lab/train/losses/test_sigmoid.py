"""The loss of SigLIP."""

from math import exp, log1p

import pytest
import torch
from tusou_lab.train.losses import BatchTargets
from tusou_lab.train.losses.sigmoid import SigmoidLoss, sigmoid_loss
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


def test_a_model_without_a_bias_gets_one_from_its_first_batch() -> None:
    rows = torch.randn(12, 8, generator=torch.Generator().manual_seed(1))
    images, texts = rows / rows.norm(dim=1, keepdim=True), rows.roll(1, 0)
    texts = texts / texts.norm(dim=1, keepdim=True)
    features = Features(images, texts, torch.tensor(20.0), None)
    targets = BatchTargets(torch.eye(12, dtype=torch.bool), torch.arange(12), torch.arange(12))
    loss = SigmoidLoss()
    assert loss(features, targets) < sigmoid_loss(features, targets)
    logits = 20 * texts @ images.t() + loss.bias.detach()
    assert logits.sigmoid().sum().item() == pytest.approx(12, rel=1e-3)
    chosen = loss.bias.detach().clone()
    loss(Features(images, images, torch.tensor(20.0), None), targets).backward()
    torch.testing.assert_close(loss.bias.detach(), chosen)
    assert loss.bias.grad is not None
    restored = SigmoidLoss()
    restored.load_state_dict(loss.state_dict())
    restored(features, targets)
    torch.testing.assert_close(restored.bias.detach(), chosen)
