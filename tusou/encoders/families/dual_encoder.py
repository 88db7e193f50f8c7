"""Models put together of two pretrained towers by `tusou convert-model --text --image`."""

from collections.abc import Mapping
from hashlib import sha256
from math import exp, prod
from typing import TYPE_CHECKING, Any

from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import BadModel
from tusou.encoders.architecture import LibraryShape, Tower
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.by_library import open_by_library, refuse_tensors
from tusou.encoders.families.preprocessing import read_tokenizer_settings, tokenizer_digest
from tusou.encoders.families.scalars import read_scalar
from tusou.encoders.model_folder import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor

MODEL_TYPE = "tusou_dual_encoder"
_PREFIXES: dict[Tower, tuple[str, str]] = {
    "text": ("text_model.", "text_projection."),
    "image": ("vision_model.", "visual_projection."),
}
PROJECTIONS = ("text_projection.weight", "visual_projection.weight")


class DualEncoder:
    """Towers that transformers or torchvision computes, with projections into one space."""

    name = "dual-encoder"

    def matches(self, weights: Weights) -> bool:
        file = weights.file
        return isinstance(file, ModelFolder) and file.model_type == MODEL_TYPE

    def describe(self, weights: Weights) -> EncoderRecord:
        folder = _folder(weights)
        config = folder.config
        try:
            return EncoderRecord(
                family=self.name,
                library="transformers",
                architecture=f"{_kind(config['text'])} + {_kind(config['image'])}",
                tokenizer=str(read_tokenizer_settings(folder).get("tokenizer_class", "tokenizer")),
                tokenizer_sha256=tokenizer_digest(folder),
                context_length=config["context_length"],
                padding="longest",
                lower_case=False,  # the tokenizer does it
                template=None,
                transform=config["transform"],
                mean=tuple(config["mean"]),
                std=tuple(config["std"]),
                normalized=True,
                logit_scale=exp(read_scalar(folder, "logit_scale")),
                logit_bias=0.0,
                license=config["license"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadModel(f"{weights.name}: its config.json is damaged ({error})") from error

    def read_shape(self, weights: Weights, tower: Tower) -> LibraryShape:
        return LibraryShape(int(_folder(weights).config["projection_dim"]), tower, "transformers")

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        shapes = _folder(weights).shapes.items()
        return sum(prod(each.shape) for name, each in shapes if name.startswith(_PREFIXES[tower]))

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        return open_by_library(weights, self.describe(weights))

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        refuse_tensors(weights)


def untrained_note(weights: Weights) -> str | None:
    """Return a sentence about a model whose projections are still random numbers, else None."""
    folder = weights.file
    if not isinstance(folder, ModelFolder) or folder.model_type != MODEL_TYPE:
        return None
    if folder.config.get("initial_projections") != digest_projections(folder):
        return None
    return (
        f"warning: the towers of {weights.name} were not trained together yet: its projections "
        "are random, and its scores mean nothing. Train it with `tusou train`."
    )


def digest_projections(folder: ModelFolder) -> str:
    """Return the SHA-256 of the numbers of both projections."""
    from safetensors import safe_open  # noqa: PLC0415 - of folders alone

    digest = sha256()
    for path in folder.tensor_files():
        with safe_open(path, framework="numpy") as file:
            for name in sorted(set(PROJECTIONS) & set(file.keys())):
                digest.update(file.get_tensor(name).astype("<f4").tobytes())
    return digest.hexdigest()


def _folder(weights: Weights) -> ModelFolder:
    folder = weights.file
    assert isinstance(folder, ModelFolder)
    return folder


def _kind(part: Mapping[str, Any]) -> str:
    """Return a tower's architecture as its library calls it."""
    config = part["config"]
    return str(config.get("model_type") or f"torchvision {config['kind']}")
