"""Models of open_clip: XLM-R, NLLB and other CLIPs, by name and checkpoint or as a folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import exp, prod
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from tusou.bundle.model_record import EncoderRecord, TransformRecord
from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import LibraryShape, Tower
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.by_library import open_by_library, refuse_tensors
from tusou.encoders.families.license import read_card_license
from tusou.encoders.families.open_clip_config import OpenClipConfig, is_open_clip, read_config
from tusou.encoders.families.preprocessing import digest_tokenizer
from tusou.encoders.families.scalars import read_header, read_number
from tusou.encoders.tokenizer_files import BPE_SHA256
from tusou.images.transform import Fit

if TYPE_CHECKING:
    from torch import Tensor

_LIBRARY: Literal["open_clip"] = "open_clip"
_FITS: dict[str, Fit] = {"shortest": "crop", "squash": "squash"}
_IMAGE_TOWER = "visual."
_SCALE, _BIAS = "logit_scale", "logit_bias"
_OF_NO_TOWER = (_SCALE, _BIAS, "text_decoder.")
_SAFETENSORS = ".safetensors"
_READ_TENSORS = LazyImport("tusou.encoders.checkpoint:read_tensors")  # imports torch


class OpenClip:
    """Models in open_clip's own format, of any text tower that it knows."""

    name = "open_clip"

    def matches(self, weights: Weights) -> bool:
        return is_open_clip(weights)

    def describe(self, weights: Weights) -> EncoderRecord:
        config = read_config(weights)
        kind, digest = _describe_tokenizer(config)
        scalars = _read_checkpoint(config.checkpoint, weights.digest).scalars
        red, green, blue = config.preprocessing["mean"]
        deviations = config.preprocessing["std"]
        return EncoderRecord(
            family=self.name,
            library=_LIBRARY,
            architecture=config.architecture,
            tokenizer=kind,
            tokenizer_sha256=digest,
            context_length=config.context,
            # open_clip's own text towers take texts of the whole context alone.
            padding="longest" if config.text_model else "max_length",
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

    def read_shape(self, weights: Weights, tower: Tower) -> LibraryShape:
        config = read_config(weights)
        config.check_image_tower()
        return LibraryShape(config.dim, tower, _LIBRARY)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        sizes = _read_checkpoint(read_config(weights).checkpoint, weights.digest).sizes
        return sum(
            size
            for name, size in sizes.items()
            if not name.startswith(_OF_NO_TOWER)
            if name.startswith(_IMAGE_TOWER) == (tower == "image")
        )

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        return open_by_library(weights, self.describe(weights))

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        refuse_tensors(weights)


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """The numbers of a checkpoint's tensors, and the tensors of one number."""

    sizes: Mapping[str, int]
    scalars: Mapping[str, float]


@lru_cache(maxsize=4)
def _read_checkpoint(path: Path, _: str) -> _Checkpoint:
    """Read a checkpoint, without torch if it is of safetensors; the digest is part of the key."""
    if path.suffix == _SAFETENSORS:
        shapes = {name: entry["shape"] for name, entry in read_header(path).items()}
        numbers = {name: read_number(path, name) for name in (_SCALE, _BIAS)}
    else:
        read = cast("Callable[[Path], Mapping[str, Tensor]]", _READ_TENSORS.load())
        tensors = read(path)
        shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
        numbers = {name: float(tensors[name]) for name in (_SCALE, _BIAS) if name in tensors}
    known = {name: value for name, value in numbers.items() if value is not None}
    return _Checkpoint({name: prod(shape) for name, shape in shapes.items()}, known)


def _describe_tokenizer(config: OpenClipConfig) -> tuple[str, str]:
    """Return the kind of a tokenizer, and the digest of its files; BadModel without them."""
    if config.has_library_tokenizer:
        return config.tokenizer_class, digest_tokenizer(config.folder)
    return "SimpleTokenizer", BPE_SHA256


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
