"""Chinese-CLIP: a checkpoint of cn_clip, a folder of transformers, or one of ModelScope."""

from collections.abc import Callable, Mapping
from math import exp
from typing import TYPE_CHECKING, cast

from tusou.bundle.model_record import CHINESE_CLIP, EncoderRecord, TransformRecord
from tusou.core.errors import BadModel
from tusou.core.file_kinds import CHECKPOINT, describe_foreign_file
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import (
    PREFIXES,
    ImageShape,
    Shaped,
    Tower,
    TowerShape,
    read_image_shape,
    read_text_shape,
)
from tusou.encoders.base import CONTEXT, Tokenizer, Weights
from tusou.encoders.checkpoint_shapes import TensorShape, read_shapes
from tusou.encoders.families.base import count_numbers
from tusou.encoders.families.license import read_license
from tusou.encoders.forms.folder_settings import read_heads, read_transform
from tusou.encoders.forms.foreign_tensors import describe_tensors
from tusou.encoders.forms.layouts import SHAPES
from tusou.encoders.forms.transformers_names import cn_clip_names
from tusou.encoders.forms.vocabulary import check_vocabulary, vocabulary_digest
from tusou.encoders.model_folder import ModelFolder
from tusou.images.preprocess import MEAN, STD
from tusou.images.transform import ImageTransform

if TYPE_CHECKING:
    from torch import Tensor

_TYPE = "chinese_clip"  # as config.json names it

# Formats that cannot be recognised by their first bytes.
_PART = "is a part of a model folder: give the folder, with its config.json"
_OTHER_FORMATS = {
    ".safetensors": _PART,
    ".json": _PART,
    ".onnx": "is an ONNX graph: give the model that it was made of",
    ".msgpack": "has weights for Flax: give a folder with model.safetensors",
    ".h5": "has weights for TensorFlow: give a folder with model.safetensors",
}

# These import torch.
_READ_TENSORS = LazyImport("tusou.encoders.checkpoint:read_weights")
_READ_FOLDER = LazyImport("tusou.encoders.folder_tensors:read_chinese_clip")
_TOKENIZER = LazyImport("tusou.encoders.tokenizer:ClipTokenizer")  # imports cn_clip


class ChineseClip:
    """The default family: every checkpoint file is taken for one of it."""

    name = CHINESE_CLIP

    def matches(self, weights: Weights) -> bool:
        file = weights.file
        if isinstance(file, ModelFolder):
            return file.model_type == _TYPE
        return weights.open_clip is None

    def describe(self, weights: Weights) -> EncoderRecord | None:
        """Return None for cn_clip's own transform of images, which the published folders name."""
        folder = weights.file
        if not isinstance(folder, ModelFolder):
            return None
        shape = self.read_shape(weights, "image")
        assert isinstance(shape, ImageShape)
        transform = read_transform(folder, shape.image_resolution)
        if transform == ImageTransform(shape.image_resolution):
            return None
        return EncoderRecord(
            family=self.name,
            library="transformers",
            architecture="ChineseCLIPModel",
            tokenizer="BertTokenizer",
            tokenizer_sha256=vocabulary_digest(),
            context_length=CONTEXT,
            padding="longest",
            lower_case=True,
            template=None,
            transform=TransformRecord.model_validate(transform, from_attributes=True),
            mean=MEAN,
            std=STD,
            normalized=True,
            logit_scale=exp(self.read_tensors(weights)["logit_scale"].item()),
            logit_bias=0.0,
            license=read_license(folder),
        )

    def read_shape(self, weights: Weights, tower: Tower) -> TowerShape:
        tensors, folder = _read_shapes(weights), weights.file
        _refuse_other_models(tensors, weights.name)
        heads = read_heads(folder, tower) if isinstance(folder, ModelFolder) else None
        if tower == "image":
            return read_image_shape(tensors, heads)
        if isinstance(folder, ModelFolder):
            check_vocabulary(folder)
        return read_text_shape(tensors, heads)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        return count_numbers(_read_shapes(weights), PREFIXES[tower])

    def open_tokenizer(self, _: Weights) -> Tokenizer:
        return cast("Callable[[], Tokenizer]", _TOKENIZER.load())()

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        if isinstance(weights.file, ModelFolder):
            read_folder = cast("Callable[..., Mapping[str, Tensor]]", _READ_FOLDER.load())
            return read_folder(weights.file)
        read = cast("Callable[[Weights], Mapping[str, Tensor]]", _READ_TENSORS.load())
        return read(weights)


def _refuse_other_models(tensors: Mapping[str, Shaped], name: str) -> None:
    if any(each.startswith(("bert.", "visual.")) for each in tensors):
        return  # what is wrong with it is told by the shapes
    kind = describe_tensors(tensors)
    if kind is not None:
        raise BadModel(f"{name} is not a cn_clip checkpoint, but {kind}")


def _read_shapes(weights: Weights) -> Mapping[str, Shaped]:
    file = weights.file
    if isinstance(file, ModelFolder):
        return cn_clip_names(file.shapes, SHAPES)
    shapes = read_shapes(weights.path) if file is None else file.shapes
    if shapes is None:
        path = file.readable_path if file else weights.path
        kind = _OTHER_FORMATS.get(weights.path.suffix) or describe_foreign_file(path)
        if kind and kind != CHECKPOINT:
            raise BadModel(f"{weights.path.name} {kind}")
        read = cast("Callable[[Weights], Mapping[str, Shaped]]", _READ_TENSORS.load())
        shapes = {name: TensorShape(tuple(t.shape)) for name, t in read(weights).items()}
        if file is not None:
            file.shapes = shapes  # torch need not read them again
    return shapes
