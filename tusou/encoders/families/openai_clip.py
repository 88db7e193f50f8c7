"""OpenAI's own checkpoints of CLIP: TorchScript archives, and their state dicts."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import exp, prod
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tusou.bundle.model_record import EncoderRecord, TransformRecord
from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import PREFIXES, ImageShape, Shaped, Tower, TowerShape, shape_of
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.checkpoint_file import CheckpointFile
from tusou.encoders.families.clip import read_clip_image_shape, read_clip_text_shape
from tusou.encoders.fast_tokenizer import FastTokenizer
from tusou.encoders.script_archive import StoredArray, is_script_archive, read_arrays
from tusou.encoders.tokenizer_files import BPE_SHA256, clean_as_openai, open_openai_tokenizer
from tusou.images.preprocess import MEAN, STD

if TYPE_CHECKING:
    from torch import Tensor

_WORDS, _POSITIONS = "token_embedding.weight", "positional_embedding"
# Numbers beside the weights that only OpenAI's archives have, and masks, which are not weights.
_OPENAI, _MASK = "input_resolution", "attn_mask"
_READ_ARRAYS = LazyImport("tusou.encoders.checkpoint:as_tensors")  # imports torch


class OpenAiClip:
    """CLIP by OpenAI's names of tensors, with the quick gelu and the images of its training."""

    name = "clip"

    def matches(self, weights: Weights) -> bool:
        file = weights.file
        if not isinstance(file, CheckpointFile) or weights.open_clip is not None:
            return False
        return _is_script(file) or _WORDS in (file.shapes or {})

    def describe(self, weights: Weights) -> EncoderRecord:
        tensors = _read(weights)
        image = read_clip_image_shape(tensors)
        return EncoderRecord(
            family=self.name,
            library="open_clip",
            architecture="CLIP",
            tokenizer="SimpleTokenizer",
            tokenizer_sha256=BPE_SHA256,
            context_length=_context(tensors),
            padding="longest",
            lower_case=False,  # the tokenizer itself does it
            template=None,
            transform=_transform(image),
            mean=MEAN,
            std=STD,
            normalized=True,
            logit_scale=exp(float(tensors["logit_scale"].read().item())),
            logit_bias=0.0,
            license=None,
        )

    def read_shape(self, weights: Weights, tower: Tower) -> TowerShape:
        read = read_clip_text_shape if tower == "text" else read_clip_image_shape
        return read(_read(weights))

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        tensors = _read(weights).items()
        return sum(prod(each.shape) for name, each in tensors if name.startswith(PREFIXES[tower]))

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        context = _context(_read(weights))
        opened, clean = open_openai_tokenizer(), clean_as_openai()
        return FastTokenizer(opened, context, ends_once=True, clean=clean)

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        convert = cast("Callable[..., Mapping[str, Tensor]]", _READ_ARRAYS.load())
        return convert(_read(weights))


def _transform(image: ImageShape) -> TransformRecord:
    """Return OpenAI's transform: the shorter side, the middle, and then RGB."""
    return TransformRecord(
        side=image.image_resolution,
        fit="crop",
        shorter_side=None,
        interpolation="bicubic",
        rgb_first=False,
        round_crop=True,
    )


def _context(tensors: Mapping[str, Shaped]) -> int:
    positions, _ = shape_of(tensors, _POSITIONS, 2)
    return positions


def _is_script(file: CheckpointFile) -> bool:
    return _is_script_of(file.readable_path, file.digest)


def _read(weights: Weights) -> Mapping[str, StoredArray]:
    """Return the tensors; BadModel for a checkpoint that may be of others than OpenAI."""
    file = weights.file
    assert isinstance(file, CheckpointFile)
    file.check_unchanged()
    tensors = _read_of(file.readable_path, file.digest)
    if not (_is_script(file) or _OPENAI in tensors):
        raise BadModel(
            f"{weights.name} has the tensors of a CLIP, and does not say which gelu it was trained "
            f"with: name its architecture, as in open_clip:ViT-B-32-quickgelu@{weights.name} for "
            f"OpenAI's and what was trained from it, or open_clip:ViT-B-32@{weights.name}"
        )
    return tensors


# A descriptor's path can become that of another file: the digests are parts of the keys.
@lru_cache(maxsize=8)
def _is_script_of(path: Path, _: str) -> bool:
    return is_script_archive(path)


@lru_cache(maxsize=4)
def _read_of(path: Path, _: str) -> Mapping[str, StoredArray]:
    arrays = read_arrays(path).items()
    return {name: array for name, array in arrays if not name.endswith(_MASK)}
