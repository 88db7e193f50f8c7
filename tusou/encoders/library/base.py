"""Protocols of a model and a tokenizer as a library has them."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn

from tusou.bundle.model_record import EncoderRecord
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import Tower
from tusou.encoders.base import Weights

BOTH: tuple[Tower, ...] = ("text", "image")


class LibraryTokenizer(Protocol):
    """A library's tokenizer. Call it from one thread at a time."""

    vocab_size: int
    pad_id: int
    pads_left: bool  # whether padding stands before the text
    masks_padding: bool  # whether the model is told which tokens are padding, and ignores them

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """Return the ids of each text, without padding, and whether it was cut to the context."""

    def is_unknown(self, token: int) -> bool:
        """Return whether a token is that of unknown text, or stands for a single byte."""


class LibraryModel(Protocol):
    """A model in a library's own classes, in evaluation mode, with all its towers or one."""

    module: nn.Module

    def encode_text(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Return the vectors of (n, width) ids, (n, dim), not yet scaled to unit length.

        `mask` is 1 for tokens and 0 for padding; None where the model attends to the padding.
        """

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Return the vectors of normalised images (n, 3, side, side), (n, dim), likewise."""


OpenModel: TypeAlias = Callable[
    [Weights, EncoderRecord, Sequence[Tower], torch.dtype, torch.device], LibraryModel
]
OpenTokenizer: TypeAlias = Callable[[Weights, EncoderRecord], LibraryTokenizer]

# By the name of a family, or else of its library.
_MODELS = {
    "dual-encoder": LazyImport("tusou.encoders.library.dual_encoder:open_model"),
    "transformers": LazyImport("tusou.encoders.library.transformers_model:open_model"),
    "open_clip": LazyImport("tusou.encoders.library.open_clip_model:open_model"),
}
_TOKENIZERS = {
    "transformers": LazyImport("tusou.encoders.library.transformers_model:open_tokenizer"),
    "open_clip": LazyImport("tusou.encoders.library.open_clip_model:open_tokenizer"),
}


def open_library_model(
    weights: Weights,
    record: EncoderRecord,
    towers: Sequence[Tower] = BOTH,
    dtype: torch.dtype = torch.float32,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a constant
) -> LibraryModel:
    """Load towers of a model by its library, without network; BadModel, MissingDependency."""
    opener = _MODELS.get(record.family) or _MODELS[record.library]
    load = cast("OpenModel", opener.load())
    return load(weights, record, towers, dtype, device)


def open_library_tokenizer(weights: Weights, record: EncoderRecord) -> LibraryTokenizer:
    """Load the tokenizer of a model by its library; BadModel, MissingDependency."""
    return cast("OpenTokenizer", _TOKENIZERS[record.library].load())(weights, record)
