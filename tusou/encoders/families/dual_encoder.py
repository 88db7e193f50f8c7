"""Models put together of two pretrained towers by `tusou convert-model --text --image`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from math import exp
from typing import TYPE_CHECKING, Any, Literal, cast

from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import (
    LibraryShape,
    TextShape,
    Tower,
    TowerShape,
    read_text_shape,
)
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.base import count_numbers, folder_of
from tusou.encoders.families.by_library import open_by_library, refuse_tensors
from tusou.encoders.families.preprocessing import read_tokenizer_settings, tokenizer_digest
from tusou.encoders.families.scalars import read_scalar
from tusou.encoders.forms.dual_encoder_names import dual_text_names
from tusou.encoders.forms.layouts import SHAPES
from tusou.encoders.model_folder import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor

MODEL_TYPE = "tusou_dual_encoder"
_PREFIXES: dict[Tower, tuple[str, str]] = {
    "text": ("text_model.", "text_projection."),
    "image": ("vision_model.", "visual_projection."),
}
_OWN_TYPES = ("bert", "roberta", "xlm-roberta")
_READ_TEXT = LazyImport("tusou.encoders.folder_tensors:read_dual_text")  # imports torch
PROJECTIONS = ("text_projection.weight", "visual_projection.weight")


class DualEncoder:
    """Towers with projections into one space; transformers computes images, and other texts."""

    name = "dual-encoder"

    def matches(self, weights: Weights) -> bool:
        file = weights.file
        return isinstance(file, ModelFolder) and file.model_type == MODEL_TYPE

    def describe(self, weights: Weights) -> EncoderRecord:
        folder = folder_of(weights)
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

    def read_shape(self, weights: Weights, tower: Tower) -> TowerShape:
        own = _own_text_shape(folder_of(weights)) if tower == "text" else None
        dim = int(folder_of(weights).config["projection_dim"])
        return own or LibraryShape(dim, tower, "transformers")

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        return count_numbers(folder_of(weights).shapes, _PREFIXES[tower])

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        return open_by_library(weights, self.describe(weights))

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        if _own_text_shape(folder_of(weights)) is None:
            refuse_tensors(weights)
        read = cast("Callable[[ModelFolder], Mapping[str, Tensor]]", _READ_TEXT.load())
        return read(folder_of(weights))


def _own_text_shape(folder: ModelFolder) -> TextShape | None:
    """Return the shape of a text tower that Tusou's own computes; None if transformers runs it."""
    part = folder.config["text"]
    config: Mapping[str, Any] = part["config"]
    kind = config.get("model_type")
    plain = config.get("position_embedding_type", "absolute") == "absolute"
    if kind not in _OWN_TYPES or not plain or config.get("hidden_act", "gelu") != "gelu":
        return None
    shapes = dual_text_names(folder.shapes, SHAPES)
    shape = read_text_shape(shapes, int(config["num_attention_heads"]))
    # RoBERTa counts positions from the number after that of padding.
    offset = 0 if kind == "bert" else int(config.get("pad_token_id", 1)) + 1
    return replace(
        shape,
        vocab_size=shape.vocab_size + 1,
        eps=float(config.get("layer_norm_eps", 1e-12)),
        pooling=read_pooling(folder.config),
        first_id=1,
        position_offset=offset,
    )


def read_pooling(config: Mapping[str, Any]) -> Literal["first", "mean"]:
    """Return what makes a text's vector, by the model's `config.json`; BadModel for another."""
    pooling = config["text"]["pooling"]
    if pooling not in {"first", "mean"}:
        raise BadModel(
            f"config.json: the pooling of the text tower is {pooling!r}, not first or mean"
        )
    return cast("Literal['first', 'mean']", pooling)


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


def _kind(part: Mapping[str, Any]) -> str:
    """Return a tower's architecture as its library calls it."""
    config = part["config"]
    return str(config.get("model_type") or f"torchvision {config['kind']}")
