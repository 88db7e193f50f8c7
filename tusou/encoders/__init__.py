"""Encoders by name: a model file is found here; torch is imported when it is first read."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

from tusou.encoders.base import Followed, ImageEncoder, Passes, TextEncoder, Tokens, Weights
from tusou.encoders.memory import QueryMemory
from tusou.encoders.prompted import PromptedEncoder
from tusou.encoders.weights import DEMO, MODELS, find_weights
from tusou.registry import Lazy

__all__ = [
    "DEMO",
    "MODELS",
    "Followed",
    "ImageEncoder",
    "Passes",
    "QueryMemory",
    "TextEncoder",
    "Tokens",
    "Weights",
    "find_weights",
    "image_precision",
    "image_size",
    "least_memory",
    "load_image_encoder",
    "load_text_encoder",
    "release_memory",
    "text_precision",
]

_TOWERS = {
    "text": Lazy("tusou.encoders.cnclip:ClipTextEncoder"),
    "image": Lazy("tusou.encoders.cnclip:ClipImageEncoder"),
}
_RELEASE = Lazy("tusou.encoders.devices:release_memory")
_IMAGE_PRECISION = Lazy("tusou.encoders.cnclip:image_precision")
_TEXT_PRECISION = Lazy("tusou.encoders.cnclip:text_precision")
_LEAST_MEMORY = Lazy("tusou.encoders.footprint:least_memory")
_IMAGE_SIZE = Lazy("tusou.encoders.cnclip:image_size")


def load_text_encoder(
    weights: Weights, device: str = "auto", prompt: str | None = None, precision: str = "auto"
) -> TextEncoder:
    """Load the text tower alone; with a prompt, every text is put into that template first.

    Device is `auto`, `cpu`, `cuda` or `cuda:N`. Precision is `fp32`, `bf16`, `fp16`, `int8` (on a
    processor with instructions for it: faster, and ranks suffer), or `auto`: fp16 on a GPU, bf16
    on a processor with instructions for it (AMX or AVX512-bf16) if the tower is large enough to
    gain, else fp32. Raises BadModel for a file that is no cn_clip checkpoint, InvalidRequest for a
    device, precision or prompt that cannot be.
    """
    load = cast("Callable[[Path, str, str], TextEncoder]", _TOWERS["text"].load())
    encoder = load(weights.path, device, precision)
    return encoder if prompt is None else PromptedEncoder(encoder, prompt)


def load_image_encoder(
    weights: Weights, device: str = "auto", precision: str = "auto"
) -> ImageEncoder:
    """Load the image tower alone; arguments and errors as for the text tower."""
    load = cast("Callable[[Path, str, str], ImageEncoder]", _TOWERS["image"].load())
    return load(weights.path, device, precision)


def image_precision(weights: Weights, device: str = "auto", precision: str = "auto") -> str:
    """Say in which precision `load_image_encoder` would compute, without loading the tower."""
    pick = cast("Callable[[Path, str, str], str]", _IMAGE_PRECISION.load())
    return pick(weights.path, device, precision)


def release_memory(device: str) -> None:
    """Give back the memory that is kept on the device for later."""
    release = cast("Callable[[str], None]", _RELEASE.load())
    release(device)


def text_precision(weights: Weights, device: str = "auto", precision: str = "auto") -> str:
    """Say in which precision `load_text_encoder` would compute, without loading the tower."""
    pick = cast("Callable[[Path, str, str], str]", _TEXT_PRECISION.load())
    return pick(weights.path, device, precision)


def least_memory(
    weights: Weights, tower: Literal["text", "image"], device: str = "auto", precision: str = "auto"
) -> int:
    """Say how many bytes of the host's memory a tower takes at least, without loading it."""
    return cast("Callable[[Path, str, str, str], int]", _LEAST_MEMORY.load())(
        weights.path, tower, device, precision
    )


def image_size(weights: Weights) -> int:
    """Say the side of the pictures that the image tower takes, without loading it."""
    return cast("Callable[[Path], int]", _IMAGE_SIZE.load())(weights.path)
