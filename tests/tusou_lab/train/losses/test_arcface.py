"""Classification over prototypes of items with an angular margin."""

from math import acos, cos, exp, log, pi, sin

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from tusou_lab.train.losses import BatchTargets
from tusou_lab.train.losses.arcface import ArcFaceLoss
from tusou_lab.train.models import Features

ITEMS = np.array([0, 1, 1, 2])  # images 1 and 2 are near duplicates
CORRECT = (np.array([0, 3]), np.array([1, 2]))
SCALE = 4.0


def started(margin: float) -> ArcFaceLoss:
    loss = ArcFaceLoss(ITEMS, CORRECT, 3, margin)
    loss.start(torch.tensor([[2.0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]))
    return loss


def test_prototypes_begin_as_the_mean_of_an_items_images() -> None:
    loss = ArcFaceLoss(ITEMS, CORRECT, 3, 0.1)
    assert loss.needs_start
    loss.start(torch.tensor([[2.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]))
    assert not loss.needs_start
    expected = normalize(torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1]]))
    torch.testing.assert_close(loss.prototypes.detach(), expected)
    assert set(loss.state_dict()) == {"prototypes", "is_started"}


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_texts_and_images_are_classified_with_the_margin(margin: float) -> None:
    texts = torch.tensor([[0.6, 0.64, 0.48], [0.0, 0.8, 0.6]])
    images = torch.tensor([[0.8, 0.6, 0.0], [0.6, 0.8, 0.0]])
    targets = BatchTargets(torch.eye(2).bool(), torch.tensor([0, 1]), torch.tensor([0, 2]))
    loss = started(margin)(Features(images, texts, torch.tensor(SCALE), None), targets)

    def entropy(right: float, wrong: list[float]) -> float:
        score = SCALE * cos(acos(right) + margin)
        return log(sum(exp(SCALE * cosine) for cosine in wrong) + exp(score)) - score

    # Item 2, too, is correct for the first text, and not among its wrong ones.
    by_text = (entropy(0.6, [0.64]) + entropy(0.8, [0.0, 0.6])) / 2
    by_image = (entropy(0.8, [0.6, 0.0]) + entropy(0.8, [0.6, 0.0])) / 2
    assert loss.item() == pytest.approx((by_text + by_image) / 2, rel=1e-5)


def test_an_angle_beyond_half_a_turn_costs_more_than_half_a_turn() -> None:
    """With the cosine alone, the loss would fall again as a text turns further away."""
    targets = BatchTargets(torch.eye(1).bool(), torch.tensor([0]), torch.tensor([0]))
    loss = ArcFaceLoss(ITEMS, CORRECT, 4, 0.3)
    loss.start(torch.eye(4)[[0, 1, 1, 2]])
    losses = []
    for angle in (pi - 0.4, pi - 0.2, pi - 0.05):
        vector = torch.tensor([[cos(angle), 0.0, 0.0, sin(angle)]])
        features = Features(vector, vector, torch.tensor(SCALE), None)
        losses.append(loss(features, targets).item())
    assert losses == sorted(losses)


def test_it_trains_prototypes_and_vectors_but_not_the_scale() -> None:
    scale = torch.tensor(SCALE, requires_grad=True)
    vectors = normalize(torch.randn(2, 3, generator=torch.Generator().manual_seed(1)))
    texts, images = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    targets = BatchTargets(torch.eye(2).bool(), torch.tensor([0, 1]), torch.tensor([0, 2]))
    loss = started(0.2)
    loss(Features(images, texts, scale, None), targets).backward()
    for part in (loss.prototypes, texts, images):
        assert part.grad is not None
        assert part.grad.abs().sum() > 0
    assert scale.grad is None
