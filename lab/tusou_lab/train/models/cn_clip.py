"""Chinese-CLIP as cn_clip defines it, from a checkpoint or a `.json` architecture."""

import json
from collections.abc import Collection, Sequence
from functools import partial
from math import exp, log
from pathlib import Path
from typing import Self

import torch
from cn_clip.clip.model import CLIP
from torch import Tensor, nn

from tusou.core.errors import BadModel, InputError
from tusou.core.files import sha256_of
from tusou.encoders import image_transform
from tusou.encoders.architecture import (
    ImageShape,
    TextShape,
    cn_clip_config,
    read_image_shape,
)
from tusou.encoders.base import Tokens, Weights
from tusou.encoders.checkpoint import TENSORS, read_weights
from tusou.encoders.families import find_family
from tusou.encoders.forms.transformers_names import to_transformers
from tusou.encoders.model_folder import CONFIG, ModelFolder
from tusou.encoders.tokenizer import ClipTokenizer
from tusou.encoders.torch.encoder import to_input
from tusou.images.transform import ImageTransform
from tusou_lab.train.files import replace_model_folder, save_torch
from tusou_lab.train.models.base import Part, Traits
from tusou_lab.train.models.folder import (
    copy_settings,
    is_half,
    match_precision,
    save_tensors,
)

# Settings that the tensors of a checkpoint do not show; the same in every published model.
_TEXT_DEFAULTS = {
    "text_attention_probs_dropout_prob": 0.1,
    "text_hidden_act": "gelu",
    "text_hidden_dropout_prob": 0.1,
    "text_initializer_range": 0.02,
}
# The projections: of a ViT, of a ResNet's pooling, and of the texts.
_HEAD = ("visual.proj", "visual.attnpool.c_proj", "text_projection", "logit_scale")
_MAX_LOG_SCALE = log(100)  # cn_clip's limit for the learned scale


class CnClipModel:
    """A `CLIP` of cn_clip; it is saved as a checkpoint, or as the folder of transformers it was.

    A folder in ModelScope's layout has the tensors of a checkpoint, and is saved as one.
    """

    def __init__(
        self, network: CLIP, digest: str, half: Collection[str], folder: Weights | None = None
    ) -> None:
        """Take the network, the digest of its files, and the folder that they are in, if any.

        `half` names the tensors that are saved in half precision.
        """
        self.network: nn.Module = network
        self._network, self._folder = network, folder
        shape = read_image_shape(network.state_dict())
        self.traits = Traits(
            digest,
            image_transform(folder) if folder else ImageTransform(shape.image_resolution),
            loss="softmax",
            has_vit=isinstance(shape.vision_layers, int),
            can_mask=isinstance(shape.vision_layers, int),
            saved_as="file" if folder is None else "folder",
            half=frozenset(half),
        )
        self._tokenizer = ClipTokenizer()

    @classmethod
    def new(cls, architecture: Path) -> Self:
        """Build the architecture of a `.json` file; InputError if that is impossible.

        It is saved in half precision, as cn_clip's own checkpoints are published.
        """
        network = new_network(architecture)
        return cls(network, sha256_of(architecture), network.state_dict())

    @classmethod
    def restore(cls, weights: Weights) -> Self:
        """Open a Chinese-CLIP in any form; BadModel if it is incomplete."""
        file = weights.file
        folder = weights if isinstance(file, ModelFolder) and CONFIG in file else None
        if folder is None and image_transform(weights).fit == "crop":
            raise BadModel(
                f"{weights.name} crops images, which a checkpoint does not say: convert it with "
                "tusou convert-model --to transformers first"
            )
        network, half = _restore(weights)
        if folder is not None:
            half = set(network.state_dict()) if is_half(folder.path) else set()
        return cls(network, weights.digest, half, folder)

    @property
    def scale(self) -> float:
        return float(self._network.logit_scale.detach().exp())

    @property
    def largest_scale(self) -> float | None:
        return exp(_MAX_LOG_SCALE)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        return self._tokenizer.prepare(texts)

    def encode_images(self, pixels: Tensor, mask: float = 0.0) -> Tensor:
        vectors: Tensor = self._network.encode_image(to_input(pixels), mask)
        return vectors

    def encode_texts(self, tokens: Tensor) -> Tensor:
        vectors: Tensor = self._network.encode_text(tokens)
        return vectors

    def scale_and_bias(self) -> tuple[Tensor, None]:
        return self._network.logit_scale.exp(), None

    def part_of(self, name: str) -> Part:
        if name.startswith(_HEAD):
            return "head"
        return "vision" if name.startswith("visual") else "text"

    def limit_scale(self) -> None:
        with torch.no_grad():
            self._network.logit_scale.clamp_(0, _MAX_LOG_SCALE)

    def save(self, path: Path, epoch: int, step: int) -> None:
        if self._folder is None:
            save_checkpoint(self._network, path, path.stem, epoch, step, half=self.traits.half)
            return
        replace_model_folder(path, partial(_write_folder, self._network, self._folder.path))


def new_network(architecture: Path) -> CLIP:
    """Return a new network for a `.json` file; InputError if it cannot be built.

    The file holds the arguments of cn_clip's `CLIP`, vision and text in one object.
    """
    try:
        return CLIP(**json.loads(architecture.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{architecture} is not a cn_clip architecture: {error}") from None


def restore_network(weights: Weights) -> CLIP:
    """Return the network of a Chinese-CLIP in any form; BadModel if it is incomplete."""
    return _restore(weights)[0]


def _restore(weights: Weights) -> tuple[CLIP, set[str]]:
    """Return the network, and the names of its tensors that are stored in half precision."""
    family, tensors = find_family(weights), read_weights(weights)
    image, text = (family.read_shape(weights, tower) for tower in ("image", "text"))
    assert isinstance(image, ImageShape)
    assert isinstance(text, TextShape)
    restored = CLIP(**cn_clip_config(image, text) | _TEXT_DEFAULTS)
    try:
        restored.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise BadModel(f"not a complete cn_clip checkpoint: {str(error).strip()[:500]}") from None
    return restored, {name for name, tensor in tensors.items() if tensor.dtype == torch.float16}


def save_checkpoint(
    network: nn.Module,
    path: Path,
    name: str,
    epoch: int,
    step: int,
    *,
    half: Collection[str] | None = None,
) -> None:
    """Write a checkpoint that cn_clip and Tusou can load, atomically.

    Tensors that `half` names are written in half precision; by default all are.
    """
    state = {
        f"module.{key}": tensor.detach().to("cpu", torch.float16)
        if tensor.is_floating_point() and (half is None or key in half)
        else tensor.detach().cpu()
        for key, tensor in network.state_dict().items()
        if not key.startswith("bert.pooler")
    }
    save_torch({"epoch": epoch, "step": step, "name": name, "state_dict": state}, path)


def _write_folder(network: nn.Module, source: Path, out: Path) -> None:
    """Write what transformers reads into an empty folder."""
    copy_settings(source, out)
    named = match_precision(out, to_transformers(network.state_dict(), TENSORS))
    save_tensors(named, out / "model.safetensors")
