"""Weights with the digits that the file of a model keeps of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from tusou_lab.train.models import TrainableModel


@contextmanager
def rounded_weights(model: TrainableModel) -> Iterator[None]:
    """Give the network the weights that its saved model will have, within the block."""
    network, half = model.network, model.traits.half
    named = chain(network.named_parameters(), network.named_buffers())
    tensors = [each for name, each in named if name in half and each.is_floating_point()]
    own = [tensor.data for tensor in tensors]
    try:
        for tensor in tensors:
            tensor.data = tensor.data.half().float()
        yield
    finally:
        for tensor, values in zip(tensors, own, strict=True):
            tensor.data = values
