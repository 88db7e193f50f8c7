"""Common parts of the families whose towers a library runs."""

from collections.abc import Callable
from typing import NoReturn, cast

from tusou.bundle.model_record import EncoderRecord
from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.base import Tokenizer, Weights

_TOKENIZER = LazyImport("tusou.encoders.library.tokenizer:LibraryTextTokenizer")


def open_by_library(weights: Weights, record: EncoderRecord) -> Tokenizer:
    """Open the tokenizer of a model that its library runs; BadModel, MissingDependency."""
    load = cast("Callable[[Weights, EncoderRecord], Tokenizer]", _TOKENIZER.load())
    return load(weights, record)


def refuse_tensors(weights: Weights) -> NoReturn:
    """Raise BadModel where the tensors of Tusou's own towers are asked for."""
    raise BadModel(f"{weights.name} is run by its library, and not by Tusou's own towers")
