"""Vectors of a split under a model that is being trained."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from tusou_lab.train.models import TrainableModel
from tusou_lab.train.pixel_stack import PixelStack

_BATCH = 256


def encode_images(
    model: TrainableModel, pixels: PixelStack, positions: NDArray[np.int64], device: torch.device
) -> Tensor:
    """Return the unit vectors (n, d) of images by their positions; the network is left in eval."""
    model.network.eval()
    with torch.no_grad():
        parts = [
            normalize(model.encode_images(torch.from_numpy(np.array(pixels[rows])).to(device)))
            for rows in _blocks(positions)
        ]
    return torch.cat(parts).float()


def encode_texts(model: TrainableModel, tokens: NDArray[np.int64], device: torch.device) -> Tensor:
    """Return the unit vectors (n, d) of tokens (n, width); the network is left in eval."""
    model.network.eval()
    with torch.no_grad():
        parts = [
            normalize(model.encode_texts(torch.from_numpy(np.array(tokens[rows])).to(device)))
            for rows in _blocks(np.arange(len(tokens)))
        ]
    return torch.cat(parts).float()


def _blocks(positions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(positions, range(_BATCH, len(positions), _BATCH))
