"""The triplet loss over the hardest negatives of a batch."""

import pytest
import torch
from tusou_lab.train.losses import BatchTargets
from tusou_lab.train.losses.triplet import TripletLoss
from tusou_lab.train.models import Features

# Cosines of texts (rows) and images: 0.8 and 0.6 of the pairs, 0.75 of a wrong pair, 0.9 of a
# further image.
IMAGES = torch.eye(3)
TEXTS = torch.tensor([[0.8, 0.75, 0.1], [0.3, 0.6, 0.9]])


def loss_of(margin: float, correct: list[list[int]]) -> float:
    targets = BatchTargets(torch.tensor(correct).bool(), torch.arange(2), torch.arange(3))
    features = Features(IMAGES, TEXTS, torch.tensor(50.0), None)
    return float(TripletLoss(margin)(features, targets))


def test_the_hardest_negative_of_each_text_and_image_counts() -> None:
    # Texts: 0.2 + 0.75 - 0.8 and 0.2 + 0.9 - 0.6; images: 0.2 + 0.3 - 0.8 < 0 and 0.2 + 0.75 - 0.6.
    expected = (0.15 + 0.5 + 0 + 0.35) / 4
    assert loss_of(0.2, [[1, 0, 0], [0, 1, 0]]) == pytest.approx(expected, abs=1e-6)


def test_correct_pairs_are_no_negatives_and_a_text_without_one_adds_nothing() -> None:
    assert loss_of(0.2, [[1, 1, 0], [0, 1, 1]]) == pytest.approx(0)
    assert loss_of(0.2, [[1, 1, 1], [1, 1, 1]]) == 0


def test_gradients_are_finite_where_there_is_no_negative() -> None:
    texts = TEXTS.clone().requires_grad_()
    correct = torch.tensor([[1, 1, 1], [0, 1, 0]]).bool()
    targets = BatchTargets(correct, torch.arange(2), torch.arange(3))
    TripletLoss(0.2)(Features(IMAGES, texts, torch.tensor(1.0), None), targets).backward()
    assert texts.grad is not None
    assert texts.grad.isfinite().all()
