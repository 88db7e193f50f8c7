"""MetaCLIP 2, CLIP trained on the texts of three hundred languages, as a transformers folder."""

from collections.abc import Mapping
from math import exp
from typing import TYPE_CHECKING

from tusou.bundle.model_record import EncoderRecord
from tusou.encoders.architecture import LibraryShape, Tower
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.by_library import open_by_library, refuse_tensors
from tusou.encoders.families.license import read_license
from tusou.encoders.families.preprocessing import (
    read_image_settings,
    read_tokenizer_settings,
    tokenizer_digest,
)
from tusou.encoders.families.scalars import read_scalar
from tusou.encoders.families.transformers_clip import (
    IMAGE_DEFAULTS,
    count_tower,
    model_folder,
    read_library_shape,
    tensor_shape,
)
from tusou.encoders.model_folder import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor

_POSITIONS = "text_model.embeddings.position_embedding.weight"


class MetaClip2:
    """CLIP's two towers, with a vocabulary that knows every language of its training."""

    name = "metaclip2"

    def matches(self, weights: Weights) -> bool:
        file = weights.file
        return isinstance(file, ModelFolder) and file.model_type == "metaclip_2"

    def describe(self, weights: Weights) -> EncoderRecord:
        folder = model_folder(weights)
        images = read_image_settings(folder, IMAGE_DEFAULTS)
        settings = read_tokenizer_settings(folder)
        return EncoderRecord(
            family=self.name,
            library="transformers",
            architecture="MetaClip2Model",
            tokenizer=str(settings.get("tokenizer_class", "XLMRobertaTokenizer")),
            tokenizer_sha256=tokenizer_digest(folder),
            context_length=tensor_shape(folder, _POSITIONS)[0],
            padding="longest",  # attention is causal: what follows a text changes nothing
            lower_case=False,
            template=None,
            transform=images.transform,
            mean=images.mean,
            std=images.std,
            normalized=True,
            logit_scale=exp(read_scalar(folder, "logit_scale")),
            logit_bias=0.0,
            license=read_license(folder),
        )

    def read_shape(self, weights: Weights, tower: Tower) -> LibraryShape:
        return read_library_shape(model_folder(weights), tower)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        return count_tower(model_folder(weights), tower)

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        return open_by_library(weights, self.describe(weights))

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        refuse_tensors(weights)
