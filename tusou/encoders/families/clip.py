"""CLIP as OpenAI published it: a folder of transformers' CLIPModel, run by Tusou's own towers."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import exp
from typing import TYPE_CHECKING, cast

from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import (
    PREFIXES,
    ImageShape,
    Shaped,
    TextShape,
    Tower,
    TowerActivation,
    TowerShape,
    depth_of,
    read_image_shape,
    shape_of,
)
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.base import count_numbers, folder_of
from tusou.encoders.families.clip_settings import (
    IMAGE_DEFAULTS,
    check_side,
    read_activation,
    read_scale,
)
from tusou.encoders.families.license import read_license
from tusou.encoders.families.preprocessing import (
    read_image_settings,
    read_tokenizer_settings,
    tokenizer_digest,
)
from tusou.encoders.fast_tokenizer import FastTokenizer
from tusou.encoders.forms.clip_names import openai_names
from tusou.encoders.forms.layouts import SHAPES
from tusou.encoders.model_folder import ModelFolder
from tusou.encoders.tokenizer_files import open_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

_TYPE = "clip"  # as config.json names it
_SECTIONS: dict[Tower, str] = {"text": "text_config", "image": "vision_config"}
_HEADS: dict[Tower, int] = {"text": 8, "image": 12}  # the defaults of transformers
_EPS = 1e-5
_HEAD_WIDTH = 64  # of every text tower of OpenAI's and open_clip's

_READ_FOLDER = LazyImport("tusou.encoders.folder_tensors:read_clip")  # imports torch


class Clip:
    """A causal text tower, whose last token makes the vector, beside a vision transformer."""

    name = "clip"

    def matches(self, weights: Weights) -> bool:
        return isinstance(weights.file, ModelFolder) and weights.file.model_type == _TYPE

    def describe(self, weights: Weights) -> EncoderRecord:
        folder = folder_of(weights)
        images = read_image_settings(folder, IMAGE_DEFAULTS)
        image = self.read_shape(weights, "image")
        assert isinstance(image, ImageShape)
        check_side(folder, images.transform.side, image.image_resolution)
        settings = read_tokenizer_settings(folder)
        return EncoderRecord(
            family=self.name,
            library="transformers",
            architecture="CLIPModel",
            tokenizer=str(settings.get("tokenizer_class", "CLIPTokenizer")),
            tokenizer_sha256=tokenizer_digest(folder),
            context_length=_context(weights),
            padding="longest",
            lower_case=False,  # the tokenizer itself does it
            template=None,
            transform=images.transform,
            mean=images.mean,
            std=images.std,
            normalized=True,
            logit_scale=exp(read_scale(folder, lambda: self.read_tensors(weights))),
            logit_bias=0.0,
            license=read_license(folder),
        )

    def read_shape(self, weights: Weights, tower: Tower) -> TowerShape:
        folder, tensors = folder_of(weights), _shapes(weights)
        section = folder.config.get(_SECTIONS[tower]) or {}
        heads = section.get("num_attention_heads", _HEADS[tower])
        activation = read_activation(folder, section.get("hidden_act", "quick_gelu"))
        eps = float(section.get("layer_norm_eps", _EPS))
        if tower == "text":
            return read_clip_text_shape(tensors, heads, activation, eps)
        return read_clip_image_shape(tensors, heads, activation, eps)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        return count_numbers(_shapes(weights), PREFIXES[tower])

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        opened = open_tokenizer(folder_of(weights))
        return FastTokenizer(opened, _context(weights), ends_once=True)

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        read = cast("Callable[[ModelFolder], Mapping[str, Tensor]]", _READ_FOLDER.load())
        return read(folder_of(weights))


def read_clip_text_shape(
    tensors: Mapping[str, Shaped],
    heads: int | None = None,
    activation: TowerActivation = "quick_gelu",
    eps: float = _EPS,
) -> TextShape:
    """Return the shape of a text tower with OpenAI's names; BadModel as for cn_clip's.

    The defaults are those of OpenAI's checkpoints, whose heads are 64 wide.
    """
    vocab, width = shape_of(tensors, "token_embedding.weight", 2)
    positions, _ = shape_of(tensors, "positional_embedding", 2)
    inner, _ = shape_of(tensors, "transformer.resblocks.0.mlp.c_fc.weight", 2)
    _, dim = shape_of(tensors, "text_projection", 2)
    heads = heads or width // _HEAD_WIDTH
    if not heads or width % heads:
        raise BadModel(f"a text tower {width} wide cannot be divided into {heads} heads")
    return TextShape(
        embed_dim=dim,
        vocab_size=vocab + 1,
        text_hidden_size=width,
        text_num_hidden_layers=depth_of(tensors, "transformer.resblocks"),
        text_num_attention_heads=heads,
        text_intermediate_size=inner,
        text_max_position_embeddings=positions,
        text_type_vocab_size=0,
        layout="clip",
        activation=activation,
        eps=eps,
        pooling="last",
        first_id=1,
        final_norm=True,
    )


def read_clip_image_shape(
    tensors: Mapping[str, Shaped],
    heads: int | None = None,
    activation: TowerActivation = "quick_gelu",
    eps: float = _EPS,
) -> ImageShape:
    """Return the shape of an image tower with OpenAI's names; BadModel as for cn_clip's."""
    shape = read_image_shape(tensors, heads)
    if not shape.is_transformer:
        return shape
    inner, _ = shape_of(tensors, "visual.transformer.resblocks.0.mlp.c_fc.weight", 2)
    return replace(shape, vision_intermediate_size=inner, activation=activation, eps=eps)


def _context(weights: Weights) -> int:
    positions, _ = shape_of(_shapes(weights), "positional_embedding", 2)
    return positions


def _shapes(weights: Weights) -> Mapping[str, Shaped]:
    return openai_names(folder_of(weights).shapes, SHAPES)
