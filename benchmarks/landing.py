"""A random model whose texts land where structured vectors lie, as a trained model's do.

Random weights send all texts to nearly one point, far from any pool: an index would be chosen and
searched as no index ever is. Speed does not depend on the numbers in the last projection, so it is
fitted: the mean text goes to the cone, the 64 directions in which texts differ most go to the axes.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks.stock import Space, queries
from tusou.encoders import find_weights, load_text_encoder

_TEXTS = 1000
_AXES = 64
_PROJECTION = "module.text_projection"


def land_texts(model: Path) -> None:
    """Fit the text projection of a checkpoint of `save_random_model`."""
    encoder = load_text_encoder(find_weights(str(model)), "cpu", None, "fp32")
    texts = encoder.encode(encoder.prepare(queries(_TEXTS)))
    space, mean = Space(texts.shape[1]), texts.mean(axis=0)
    length = np.linalg.norm(mean)
    beside = texts - mean - np.outer((texts - mean) @ mean, mean) / length**2
    _, spread, directions = np.linalg.svd(beside, full_matrices=False)
    spread = spread[:_AXES, None] / np.sqrt(_TEXTS)
    fitted = np.outer(mean, space.cone) / length**2
    fitted += (directions[:_AXES] / spread).T @ space.axes
    checkpoint = torch.load(model, weights_only=True)
    projection = checkpoint["state_dict"][_PROJECTION].double() @ torch.from_numpy(fitted)
    checkpoint["state_dict"][_PROJECTION] = projection.float()
    torch.save(checkpoint, model)
