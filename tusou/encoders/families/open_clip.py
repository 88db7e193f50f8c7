"""Models of open_clip: XLM-R, NLLB and other CLIPs, by name and checkpoint or as a folder."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from math import exp, prod
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from tusou.bundle.model_record import EncoderRecord, TransformRecord
from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import LibraryShape, TextShape, Tower, TowerShape
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.by_library import open_by_library
from tusou.encoders.families.license import read_card_license
from tusou.encoders.families.open_clip_config import OpenClipConfig, is_open_clip, read_config
from tusou.encoders.families.open_clip_towers import (
    find_image_shape,
    find_text_shape,
    read_padding,
)
from tusou.encoders.families.preprocessing import digest_tokenizer
from tusou.encoders.families.scalars import read_number
from tusou.encoders.fast_tokenizer import FastTokenizer
from tusou.encoders.forms.layouts import SHAPES, TensorShape
from tusou.encoders.forms.open_clip_names import open_clip_names
from tusou.encoders.model_folder import SAFETENSORS
from tusou.encoders.open_file import OpenFile
from tusou.encoders.safetensors_header import read_safetensors_shapes
from tusou.encoders.tokenizer_files import (
    BPE_SHA256,
    clean_as_openai,
    open_openai_tokenizer,
    open_tokenizer_file,
)
from tusou.images.transform import Fit

if TYPE_CHECKING:
    from torch import Tensor

_LIBRARY: Literal["open_clip"] = "open_clip"
_FITS: dict[str, Fit] = {"shortest": "crop", "squash": "squash"}
_IMAGE_TOWER = "visual."
_SCALE, _BIAS = "logit_scale", "logit_bias"
_TOKENIZER_OPTIONS = ("tokenizer_kwargs", "tokenizer_mode")  # how texts are cleaned and marked
_OF_NO_TOWER = (_SCALE, _BIAS, "text_decoder.")
_READ_OPEN_CLIP = LazyImport("tusou.encoders.folder_tensors:read_open_clip")  # imports torch
_READ_TENSORS = LazyImport("tusou.encoders.checkpoint:read_tensors")  # imports torch


class OpenClip:
    """Models in open_clip's own format; Tusou computes the towers of CLIP's and BERT's shape."""

    name = "open_clip"

    def matches(self, weights: Weights) -> bool:
        return is_open_clip(weights)

    def describe(self, weights: Weights) -> EncoderRecord:
        config = read_config(weights)
        kind, digest = _describe_tokenizer(config)
        scalars = _read_checkpoint(config.checkpoint).scalars
        red, green, blue = config.preprocessing["mean"]
        deviations = config.preprocessing["std"]
        # Where Tusou computes the tower, what follows a text does not change its vector.
        any_length = config.text_model is not None or _text_shape(config) is not None
        return EncoderRecord(
            family=self.name,
            library=_LIBRARY,
            architecture=config.architecture,
            tokenizer=kind,
            tokenizer_sha256=digest,
            context_length=config.context,
            padding="longest" if any_length else "max_length",
            lower_case=False,  # where texts are put into lower case, the tokenizer does it
            template=None,
            transform=_describe_transform(config),
            mean=(red, green, blue),
            std=(deviations[0], deviations[1], deviations[2]),
            normalized=True,
            logit_scale=exp(scalars.get(_SCALE, 0.0)),
            logit_bias=scalars.get(_BIAS, 0.0),
            license=read_card_license(config.folder),
        )

    def read_shape(self, weights: Weights, tower: Tower) -> TowerShape:
        config = read_config(weights)
        if tower == "text":
            shape: TowerShape | None = _text_shape(config)
        else:
            shape = find_image_shape(config, _shapes(config))
        if shape is not None:
            return shape
        config.check_image_tower()
        return LibraryShape(config.dim, tower, _LIBRARY)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        config = read_config(weights)
        tensors = _read_checkpoint(config.checkpoint).shapes
        return sum(
            prod(tensor.shape)
            for name, tensor in tensors.items()
            if not name.startswith(_OF_NO_TOWER)
            if name.startswith(_IMAGE_TOWER) == (tower == "image")
        )

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        config = read_config(weights)
        if _text_shape(config) is None:
            return open_by_library(weights, self.describe(weights))
        if not config.has_library_tokenizer:
            clean = clean_as_openai()
            return FastTokenizer(
                open_openai_tokenizer(), config.context, ends_once=True, clean=clean
            )
        opened, clean = open_tokenizer_file(config.folder), clean_as_openai(lower=False)
        if config.text_model is None:
            return FastTokenizer(opened, config.context, ends_once=True, clean=clean)
        return FastTokenizer(opened, config.context, pad_id=read_padding(config), clean=clean)

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        config = read_config(weights)
        read = cast("Callable[..., Mapping[str, Tensor]]", _READ_OPEN_CLIP.load())
        return read(config.checkpoint, has_bert=config.text_model is not None)


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """The shapes of a checkpoint's tensors, and the tensors of one number."""

    shapes: Mapping[str, TensorShape]
    scalars: Mapping[str, float]


def _read_checkpoint(file: OpenFile) -> _Checkpoint:
    """Read a checkpoint, without torch if it is of safetensors; BadModel if it was written to."""
    file.check_unchanged()
    if file.path.suffix == SAFETENSORS:
        with file.open() as opened:
            shapes = read_safetensors_shapes(opened, file.size, file.path.name)
        numbers = {name: read_number(file, name) for name in (_SCALE, _BIAS)}
        known = {name: value for name, value in numbers.items() if value is not None}
        return _Checkpoint(shapes, known)
    return _read_by_torch(file.readable_path, file.path.name, file.digest)


@lru_cache(maxsize=4)
def _read_by_torch(path: Path, name: str, _: str) -> _Checkpoint:
    """Read a checkpoint of torch; the digest is part of the key."""
    read = cast("Callable[[Path, str], Mapping[str, Tensor]]", _READ_TENSORS.load())
    tensors = read(path, name)
    shapes = {name: TensorShape(tuple(tensor.shape)) for name, tensor in tensors.items()}
    scalars = {name: float(tensors[name]) for name in (_SCALE, _BIAS) if name in tensors}
    return _Checkpoint(shapes, scalars)


def _shapes(config: OpenClipConfig) -> dict[str, TensorShape]:
    """Return the shapes of the tensors by the names of Tusou's towers."""
    shapes = _read_checkpoint(config.checkpoint).shapes
    return open_clip_names(shapes, SHAPES, has_bert=config.text_model is not None)


def _text_shape(config: OpenClipConfig) -> TextShape | None:
    return find_text_shape(config, _shapes(config))


def _describe_tokenizer(config: OpenClipConfig) -> tuple[str, str]:
    """Return the kind of a tokenizer, and the digest of its files and options; BadModel without."""
    if config.has_library_tokenizer:
        kind, digest = config.tokenizer_class, digest_tokenizer(config.folder)
    else:
        kind, digest = "SimpleTokenizer", BPE_SHA256
    options = {name: config.text[name] for name in _TOKENIZER_OPTIONS if config.text.get(name)}
    if options:
        digest = sha256(f"{digest} {json.dumps(options, sort_keys=True)}".encode()).hexdigest()
    return kind, digest


def _describe_transform(config: OpenClipConfig) -> TransformRecord:
    settings = config.preprocessing
    fit = _FITS.get(settings["resize_mode"])
    if fit is None:
        raise BadModel(
            f"{config.architecture} pads its images (resize mode {settings['resize_mode']}), which "
            "Tusou does not"
        )
    return TransformRecord(
        side=config.side,
        fit=fit,
        shorter_side=None,
        # As open_clip reads it: `random` is of training.
        interpolation="bilinear" if settings["interpolation"] == "bilinear" else "bicubic",
        rgb_first=False,
        round_crop=True,
    )
