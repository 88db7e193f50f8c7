"""Settings that transformers' CLIP-like models have in common."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast, get_args

from tusou.core.errors import BadModel
from tusou.encoders.architecture import TowerActivation
from tusou.encoders.families.scalars import read_scalar
from tusou.encoders.model_folder import SAFETENSORS, ModelFolder
from tusou.images.preprocess import MEAN, STD

if TYPE_CHECKING:
    from torch import Tensor

# The defaults of CLIPImageProcessor.
IMAGE_DEFAULTS: dict[str, Any] = {
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
}

_SCALE = "logit_scale"
_SYNONYMS = {"gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}


def read_activation(folder: ModelFolder, name: str) -> TowerActivation:
    """Return the activation that transformers calls by this name; BadModel for another kind."""
    known = _SYNONYMS.get(name, name)
    if known not in get_args(TowerActivation):
        raise BadModel(f"{folder.path} has the activation {name!r}, which Tusou does not compute")
    return cast("TowerActivation", known)


def check_side(folder: ModelFolder, prepared: int, taken: int) -> None:
    """Raise BadModel unless the images are prepared in the size that their tower takes."""
    if prepared != taken:
        raise BadModel(
            f"{folder.path} prepares images of {prepared} pixels for a tower that takes {taken}"
        )


def read_scale(folder: ModelFolder, read_tensors: "Callable[[], Mapping[str, Tensor]]") -> float:
    """Return the stored scale of the cosines, without torch where that is possible."""
    if all(path.suffix == SAFETENSORS for path in folder.tensor_files()):
        return read_scalar(folder, _SCALE)
    return float(read_tensors()[_SCALE].item())
