"""What the folders of transformers' CLIP-like models have in common."""

from collections.abc import Mapping
from math import prod
from typing import Any

from tusou.core.errors import BadModel
from tusou.encoders.architecture import LibraryShape, Tower
from tusou.encoders.base import Weights
from tusou.encoders.model_folder import ModelFolder
from tusou.images.preprocess import MEAN, STD

# The defaults of CLIPImageProcessor.
IMAGE_DEFAULTS: Mapping[str, Any] = {
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
}
PREFIXES: Mapping[Tower, tuple[str, ...]] = {
    "text": ("text_model.", "text_projection."),
    "image": ("vision_model.", "visual_projection."),
}
_PROJECTIONS = {"text": "text_projection.weight", "image": "visual_projection.weight"}


def read_library_shape(folder: ModelFolder, tower: Tower) -> LibraryShape:
    """Return the shape of a tower that transformers runs; BadModel for an incomplete folder."""
    dim, _ = tensor_shape(folder, _PROJECTIONS[tower])
    return LibraryShape(dim, tower, "transformers")


def count_tower(folder: ModelFolder, tower: Tower) -> int:
    """Return the number of a tower's parameters."""
    shapes = folder.shapes.items()
    return sum(prod(each.shape) for name, each in shapes if name.startswith(PREFIXES[tower]))


def tensor_shape(folder: ModelFolder, name: str) -> tuple[int, ...]:
    """Return the shape of a tensor; BadModel if the folder does not have it."""
    tensor = folder.shapes.get(name)
    if tensor is None:
        raise BadModel(f"{folder.path} has no tensor {name!r}: it is damaged or incomplete")
    return tensor.shape


def model_folder(weights: Weights) -> ModelFolder:
    """Return the folder of a model that is one."""
    assert isinstance(weights.file, ModelFolder)
    return weights.file
