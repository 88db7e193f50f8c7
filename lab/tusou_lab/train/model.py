"""Opens a cn_clip model for training; saves checkpoints and the state of a run."""

import json
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import torch
from cn_clip.clip.model import CLIP
from torch import nn

from tusou.core.errors import BadModel, InputError
from tusou.core.files import write_file
from tusou.encoders import find_weights
from tusou.encoders.architecture import read_image_shape, read_text_shape
from tusou.encoders.checkpoint import read_weights
from tusou.images.transform import ImageTransform

# Settings that the tensors of a checkpoint do not show; the same in every published model.
_TEXT_DEFAULTS = {
    "text_attention_probs_dropout_prob": 0.1,
    "text_hidden_act": "gelu",
    "text_hidden_dropout_prob": 0.1,
    "text_initializer_range": 0.02,
}


def open_model(model: str) -> CLIP:
    """Return a new model for a `.json` architecture, or a restored one to fine-tune.

    The JSON file holds the arguments of cn_clip's `CLIP`, vision and text in one object. Raises
    InputError for an architecture that cannot be built, BadModel for an incomplete checkpoint.
    """
    if model.endswith(".json"):
        try:
            return CLIP(**json.loads(Path(model).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{model} is not a cn_clip architecture: {error}") from None
    tensors = read_weights(find_weights(model))
    shape = asdict(read_image_shape(tensors)) | asdict(read_text_shape(tensors)) | _TEXT_DEFAULTS
    restored = CLIP(**shape)
    try:
        restored.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise BadModel(f"not a complete cn_clip checkpoint: {str(error).strip()[:500]}") from None
    return restored


def image_transform(model: CLIP) -> ImageTransform:
    """Return the transform of the model's images."""
    return ImageTransform(read_image_shape(model.state_dict()).image_resolution)


def is_transformer(model: CLIP) -> bool:
    """Return whether the image tower is a ViT; otherwise it is a ResNet."""
    return isinstance(read_image_shape(model.state_dict()).vision_layers, int)


def save_checkpoint(model: nn.Module, path: Path, name: str, epoch: int, step: int) -> None:
    """Write a half-precision checkpoint that cn_clip and Tusou can load, atomically."""
    state = {
        f"module.{key}": tensor.detach().to("cpu", torch.float16)
        if tensor.is_floating_point()
        else tensor.cpu()
        for key, tensor in model.state_dict().items()
        if not key.startswith("bert.pooler")
    }
    save_torch({"epoch": epoch, "step": step, "name": name, "state_dict": state}, path)


def save_torch(value: object, path: Path) -> None:
    """Save what `torch.save` takes, replacing `path` in one step."""
    data = BytesIO()
    torch.save(value, data)
    write_file(path, data.getvalue())
