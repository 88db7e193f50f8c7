"""Fits the text projection of a random model, so that its texts lie near the items.

Random weights map all texts to nearly the same point, far from any item. An index would then be
tuned and searched differently from that of a trained model. The projection is fitted so that the
mean text lies in the cone of the structured vectors, and the 64 directions in which texts differ
most are their axes. The speed of the model does not depend on these numbers.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks.stock import StructuredSpace, queries
from tusou.encoders import find_weights, load_text_encoder

_TEXTS = 1000
_AXES = 64
_PROJECTION = "module.text_projection"


def fit_text_projection(model: Path) -> None:
    """Change the text projection of a checkpoint that `save_random_model` wrote."""
    encoder = load_text_encoder(find_weights(str(model)), "cpu", None, "fp32")
    texts = encoder.encode(encoder.prepare(queries(_TEXTS)))
    space, mean = StructuredSpace(texts.shape[1]), texts.mean(axis=0)
    length = np.linalg.norm(mean)
    residuals = texts - mean - np.outer((texts - mean) @ mean, mean) / length**2
    _, spread, directions = np.linalg.svd(residuals, full_matrices=False)
    spread = spread[:_AXES, None] / np.sqrt(_TEXTS)
    fitted = np.outer(mean, space.cone) / length**2
    fitted += (directions[:_AXES] / spread).T @ space.axes
    checkpoint = torch.load(model, weights_only=True)
    projection = checkpoint["state_dict"][_PROJECTION].double() @ torch.from_numpy(fitted)
    checkpoint["state_dict"][_PROJECTION] = projection.float()
    torch.save(checkpoint, model)
