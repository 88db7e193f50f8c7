"""Losses by softmax: that of cn_clip unless pairs share a correct image."""

import torch
from torch.nn.functional import cross_entropy, normalize
from tusou_lab.train.losses import BatchTargets
from tusou_lab.train.losses.softmax import cn_clip_loss as our_cn_clip_loss
from tusou_lab.train.losses.softmax import contrastive_loss
from tusou_lab.train.models import Features

SCALE = torch.tensor(14.3)


def unit_rows(seed: int, rows: int = 6) -> torch.Tensor:
    return normalize(torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed)))


def cn_clip_loss(images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Restate `get_loss` of cn_clip/training/train.py for one process."""
    per_image, per_text = SCALE * images @ texts.t(), SCALE * texts @ images.t()
    truth = torch.arange(len(images))
    return (cross_entropy(per_image, truth) + cross_entropy(per_text, truth)) / 2


def test_equals_the_loss_of_cn_clip_when_no_pair_shares() -> None:
    images, texts = unit_rows(1), unit_rows(2)
    ours = contrastive_loss(images, texts, SCALE, torch.eye(6, dtype=torch.bool))
    torch.testing.assert_close(ours, cn_clip_loss(images, texts), rtol=1e-6, atol=0)


def test_a_shared_correct_image_is_not_a_negative() -> None:
    # Two identical pairs, matched perfectly: cn_clip treats the other pair as a negative.
    images = torch.eye(16)[[0, 0, 1]]
    scale = torch.tensor(100.0)
    shared = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    alone = torch.eye(3, dtype=torch.bool)
    fair = contrastive_loss(images, images, scale, shared)
    # The target is (1/2, 1/2, 0) and so is the softmax: the loss is the target's own entropy.
    torch.testing.assert_close(fair, torch.tensor(2.0).log() * 2 / 3)
    torch.testing.assert_close(fair, contrastive_loss(images, images, scale, alone))
    moved = torch.eye(16)[[0, 2, 1]]
    assert contrastive_loss(moved, images, scale, shared) > fair


def test_gradient_of_a_perfect_batch_is_zero_only_with_shared_targets() -> None:
    images = torch.eye(16)[[0, 2]].requires_grad_()
    texts = torch.eye(16)[[0, 0]] + torch.eye(16)[[2, 2]]
    contrastive_loss(images, texts, SCALE, torch.ones(2, 2, dtype=torch.bool)).backward()
    torch.testing.assert_close(images.grad, torch.zeros(2, 16))


def test_the_loss_of_cn_clip_knows_no_other_correct_images() -> None:
    images, texts = unit_rows(1), unit_rows(2)
    rows = torch.arange(6)
    targets = BatchTargets(torch.ones(6, 6, dtype=torch.bool), rows, rows)
    loss = our_cn_clip_loss(Features(images, texts, SCALE, None), targets)
    torch.testing.assert_close(loss, cn_clip_loss(images, texts), rtol=1e-6, atol=0)


def test_images_without_a_text_are_wrong_ones_to_the_texts() -> None:
    images, texts = unit_rows(1, 9), unit_rows(2)
    correct = torch.eye(6, 9, dtype=torch.bool)
    per_text = SCALE * texts @ images.t()
    truth = torch.arange(6)
    expected = (cross_entropy(per_text, truth) + cross_entropy(per_text.t()[:6], truth)) / 2
    torch.testing.assert_close(contrastive_loss(images, texts, SCALE, correct), expected)
