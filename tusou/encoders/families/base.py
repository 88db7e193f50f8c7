"""The protocol of a family of models."""

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Protocol

from tusou.bundle.model_record import EncoderRecord
from tusou.encoders.architecture import Shaped, Tower, TowerShape
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.model_folder import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor


class Family(Protocol):
    """A kind of model. Everything but `read_tensors` works without torch.

    Methods raise BadModel for files that are damaged, incomplete or contradict each other.
    """

    @property
    def name(self) -> str:
        """The name in an `EncoderRecord`, such as clip or siglip."""

    def matches(self, weights: Weights, /) -> bool:
        """Return whether a model is of this family."""

    def describe(self, weights: Weights, /) -> EncoderRecord | None:
        """Return what the weights alone do not show; None for Chinese-CLIP as cn_clip runs it."""

    def read_shape(self, weights: Weights, tower: Tower) -> TowerShape:
        """Return the shape of a tower."""

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        """Return the number of a tower's parameters."""

    def open_tokenizer(self, weights: Weights, /) -> Tokenizer:
        """Open the tokenizer of the texts; MissingDependency without its library."""

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        """Return all tensors by the names that Tusou's own towers have for them.

        BERT-shaped text towers and all image towers have the names of cn_clip, CLIP-shaped text
        towers those of OpenAI's CLIP. A family that a library runs raises BadModel.
        """


def folder_of(weights: Weights) -> ModelFolder:
    """Return the open folder of a model that is one."""
    assert isinstance(weights.file, ModelFolder)
    return weights.file


def count_numbers(tensors: Mapping[str, Shaped], prefixes: str | tuple[str, ...]) -> int:
    """Return how many numbers the tensors of these prefixes hold."""
    named = tensors.items()
    return sum(prod(tensor.shape) for name, tensor in named if name.startswith(prefixes))
