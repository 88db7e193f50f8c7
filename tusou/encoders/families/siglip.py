"""SigLIP and SigLIP 2 of fixed resolution, as transformers folders, run by transformers."""

from collections.abc import Mapping
from math import exp
from typing import TYPE_CHECKING, Any, Literal

from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import BadModel
from tusou.encoders.architecture import LibraryShape, Tower
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.base import count_numbers
from tusou.encoders.families.by_library import open_by_library, refuse_tensors
from tusou.encoders.families.license import read_license
from tusou.encoders.families.preprocessing import (
    SIGLIP2_TOKENIZERS,
    read_image_settings,
    read_tokenizer_settings,
    tokenizer_digest,
)
from tusou.encoders.families.scalars import read_scalar
from tusou.encoders.model_folder import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor

_LIBRARY: Literal["transformers"] = "transformers"
# The defaults of SiglipImageProcessor.
_IMAGE_DEFAULTS: dict[str, Any] = {
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": (0.5, 0.5, 0.5),
    "image_std": (0.5, 0.5, 0.5),
}
_PREFIXES: dict[Tower, str] = {"text": "text_model.", "image": "vision_model."}
# The last tensor of each tower, which is as long as its vectors.
_LAST: dict[Tower, str] = {
    "text": "text_model.head.bias",
    "image": "vision_model.head.mlp.fc2.bias",
}
_POSITIONS = "text_model.embeddings.position_embedding.weight"


class Siglip:
    """Towers whose texts are padded to the whole context, with attention to the padding."""

    name = "siglip"

    def matches(self, weights: Weights) -> bool:
        file = weights.file
        return isinstance(file, ModelFolder) and file.model_type in {"siglip", "siglip2"}

    def describe(self, weights: Weights) -> EncoderRecord:
        folder = _folder(weights)
        images = read_image_settings(folder, _IMAGE_DEFAULTS)
        settings = read_tokenizer_settings(folder)
        tokenizer = str(settings.get("tokenizer_class", "SiglipTokenizer"))
        second = tokenizer.startswith(SIGLIP2_TOKENIZERS)
        return EncoderRecord(
            family="siglip2" if second else self.name,
            library=_LIBRARY,
            architecture="SiglipModel",
            tokenizer=tokenizer,
            tokenizer_sha256=tokenizer_digest(folder),
            context_length=_shape(folder, _POSITIONS)[0],
            padding="max_length",
            lower_case=second or bool(settings.get("do_lower_case", True)),
            template=None,
            transform=images.transform,
            mean=images.mean,
            std=images.std,
            normalized=True,
            logit_scale=exp(read_scalar(folder, "logit_scale")),
            logit_bias=read_scalar(folder, "logit_bias"),
            license=read_license(folder),
        )

    def read_shape(self, weights: Weights, tower: Tower) -> LibraryShape:
        (dim,) = _shape(_folder(weights), _LAST[tower])
        return LibraryShape(dim, tower, _LIBRARY)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        return count_numbers(_folder(weights).shapes, _PREFIXES[tower])

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        return open_by_library(weights, self.describe(weights))

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        refuse_tensors(weights)


def _folder(weights: Weights) -> ModelFolder:
    folder = weights.file
    assert isinstance(folder, ModelFolder)
    if folder.model_type == "siglip2":
        raise BadModel(
            f"{weights.name} takes images of any proportions (NaFlex), which Tusou does not: use "
            "the SigLIP 2 of a fixed resolution, such as google/siglip2-base-patch16-256"
        )
    return folder


def _shape(folder: ModelFolder, name: str) -> tuple[int, ...]:
    tensor = folder.shapes.get(name)
    if tensor is None:
        raise BadModel(f"{folder.path} has no tensor {name!r}: it is damaged or incomplete")
    return tensor.shape
