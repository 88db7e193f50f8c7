"""AltCLIP, XLM-R beside the image tower of CLIP, as a transformers folder."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import exp
from typing import TYPE_CHECKING, Any, cast

from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import (
    PREFIXES,
    ImageShape,
    TextShape,
    Tower,
    TowerShape,
    read_text_shape,
)
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.base import count_numbers, folder_of
from tusou.encoders.families.clip import read_clip_image_shape
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
from tusou.encoders.forms.alt_clip_names import alt_clip_names, compose_shapes
from tusou.encoders.forms.layouts import SHAPES, TensorShape
from tusou.encoders.model_folder import ModelFolder
from tusou.encoders.tokenizer_files import open_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

_TYPE = "altclip"  # as config.json names it
_EPS = 1e-5  # the defaults of AltCLIPConfig
_HEADS: Mapping[Tower, int] = {"text": 16, "image": 12}
_PAD = 1  # RoBERTa counts positions from the number after it

_READ_FOLDER = LazyImport("tusou.encoders.folder_tensors:read_alt_clip")  # imports torch


class AltClip:
    """AltCLIP in Chinese and English, and AltCLIP-m9 and -m18 in more languages."""

    name = "altclip"

    def matches(self, weights: Weights) -> bool:
        file = weights.file
        return isinstance(file, ModelFolder) and file.model_type == _TYPE

    def describe(self, weights: Weights) -> EncoderRecord:
        folder = folder_of(weights)
        images = read_image_settings(folder, IMAGE_DEFAULTS)
        check_side(folder, images.transform.side, _image_shape(weights).image_resolution)
        settings = read_tokenizer_settings(folder)
        return EncoderRecord(
            family=self.name,
            library="transformers",
            architecture="AltCLIPModel",
            tokenizer=str(settings.get("tokenizer_class", "XLMRobertaTokenizer")),
            tokenizer_sha256=tokenizer_digest(folder),
            context_length=_context(weights),
            padding="longest",
            lower_case=False,
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
        return _text_shape(weights) if tower == "text" else _image_shape(weights)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        return count_numbers(_shapes(weights), PREFIXES[tower])

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        opened = open_tokenizer(folder_of(weights))
        return FastTokenizer(opened, _context(weights), pad_id=_PAD)

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        read = cast("Callable[[ModelFolder], Mapping[str, Tensor]]", _READ_FOLDER.load())
        return read(folder_of(weights))


def _text_shape(weights: Weights) -> TextShape:
    section = _section(weights, "text")
    if section.get("hidden_act", "gelu") != "gelu":
        raise BadModel(f"{weights.name}: its text tower has an activation that Tusou does not")
    heads = int(section.get("num_attention_heads", _HEADS["text"]))
    shape = read_text_shape(_shapes(weights), heads)
    return replace(
        shape,
        vocab_size=shape.vocab_size + 1,
        eps=float(section.get("layer_norm_eps", _EPS)),
        first_id=1,
        position_offset=_PAD + 1,
        final_norm=True,
        projection_bias=True,
    )


def _image_shape(weights: Weights) -> ImageShape:
    section = _section(weights, "image")
    activation = read_activation(folder_of(weights), section.get("hidden_act", "quick_gelu"))
    heads = int(section.get("num_attention_heads", _HEADS["image"]))
    eps = float(section.get("layer_norm_eps", _EPS))
    return read_clip_image_shape(_shapes(weights), heads, activation, eps)


def _context(weights: Weights) -> int:
    """Return the tokens that a text may have: by the tokenizer's settings, and the positions."""
    positions = _text_shape(weights).positions
    return min(
        positions,
        int(read_tokenizer_settings(folder_of(weights)).get("model_max_length", positions)),
    )


def _section(weights: Weights, tower: Tower) -> dict[str, Any]:
    name = "text_config" if tower == "text" else "vision_config"
    return dict(folder_of(weights).config.get(name) or {})


def _shapes(weights: Weights) -> Mapping[str, TensorShape]:
    folder = folder_of(weights)
    try:
        return alt_clip_names(folder.shapes, SHAPES, compose_shapes)
    except KeyError as error:
        raise BadModel(
            f"{folder.path} has no tensor {error}: it is damaged or incomplete"
        ) from None
