"""The cross-encoder's network: what an untrained one does, and what a logit depends on."""

import pytest
import torch
from torch import Tensor

from tusou.encoders.cross.network import CrossNetwork, pool_tokens
from tusou.encoders.cross.shape import CrossShape

SHAPE = CrossShape(text_width=48, image_width=40, grid=4, pool=2, width=64, layers=3)
Drawn = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def network() -> CrossNetwork:
    torch.manual_seed(5)
    drawn = CrossNetwork(SHAPE).eval()
    torch.nn.init.normal_(drawn.head.weight)
    return drawn.requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def drawn(network: CrossNetwork) -> Drawn:
    """Two texts of six tokens, three images for each, and the cosines."""
    text = network.project_text(torch.randn(2, 6, SHAPE.text_width))
    images = network.project_images(torch.randn(2, 3, SHAPE.image_tokens, SHAPE.image_width))
    return text, images, torch.rand(2, 3)


def test_an_untrained_network_keeps_the_order_of_the_cosines(drawn: Drawn) -> None:
    text, images, cosines = drawn
    untrained = CrossNetwork(SHAPE).eval()
    torch.testing.assert_close(untrained(text, images, cosines), 20 * cosines)


def test_a_pair_has_one_logit_whatever_is_scored_beside_it(
    network: CrossNetwork, drawn: Drawn
) -> None:
    text, images, cosines = drawn
    together = network(text, images, cosines)
    assert together.std() > 0.1
    for query in range(2):
        for image in range(3):
            pair = network(
                text[query : query + 1],
                images[query : query + 1, image : image + 1],
                cosines[query : query + 1, image : image + 1],
            )
            torch.testing.assert_close(pair[0, 0], together[query, image], rtol=1e-4, atol=1e-4)


def test_padding_changes_nothing(network: CrossNetwork, drawn: Drawn) -> None:
    text, images, cosines = drawn
    padded = torch.cat([text, torch.full((2, 4, SHAPE.width), 7.0)], dim=1)
    mask = torch.arange(10).expand(2, 10) < 6
    torch.testing.assert_close(
        network(padded, images, cosines, mask),
        network(text, images, cosines),
        rtol=1e-4,
        atol=1e-4,
    )
    assert not torch.allclose(network(padded, images, cosines), network(text, images, cosines))


def test_every_token_of_text_and_image_can_change_the_logit(
    network: CrossNetwork, drawn: Drawn
) -> None:
    text, images, cosines = drawn
    before = network(text, images, cosines)[0, 0]
    for token in range(text.shape[1]):
        changed = text.clone()
        changed[0, token, 0] += 1
        assert not torch.equal(network(changed, images, cosines)[0, 0], before)
    for token in range(SHAPE.image_tokens):
        changed = images.clone()
        changed[0, 0, token, 0] += 1
        assert not torch.equal(network(text, changed, cosines)[0, 0], before)


def test_patches_are_averaged_in_squares_behind_the_class_token() -> None:
    tokens = torch.arange(17.0).reshape(1, 17, 1)
    # The patches are numbered 1 to 16 along the rows of a grid of 4.
    assert pool_tokens(tokens, 2).flatten().tolist() == [0.0, 3.5, 5.5, 11.5, 13.5]
    assert torch.equal(pool_tokens(tokens, 1), tokens)
