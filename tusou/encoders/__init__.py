"""Encoders by name: a model file is found here; torch is imported when it is first read."""

from collections.abc import Callable
from typing import cast

from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import ImageShape, Tower
from tusou.encoders.base import Followed, ImageEncoder, Passes, TextEncoder, Tokens, Weights
from tusou.encoders.devices import release_memory
from tusou.encoders.prompted import PromptedEncoder
from tusou.encoders.select_backend import (
    BACKENDS,
    ResolvedEncoder,
    least_memory,
    resolve_encoder,
    shape_of,
)
from tusou.encoders.weights import DEMO, MODELS, find_weights

__all__ = [
    "BACKENDS",
    "DEMO",
    "MODELS",
    "Followed",
    "ImageEncoder",
    "Passes",
    "ResolvedEncoder",
    "TextEncoder",
    "Tokens",
    "Tower",
    "Weights",
    "find_weights",
    "image_size",
    "least_memory",
    "load_image_encoder",
    "load_text_encoder",
    "prepare_service",
    "release_memory",
    "resolve_encoder",
]

_TOWERS: tuple[Tower, ...] = ("text", "image")
_CONVERT = LazyImport("tusou.encoders.openvino.encoders:convert_and_keep")
_ENCODERS = {
    ("torch", "text"): LazyImport("tusou.encoders.torch.encoder:ClipTextEncoder"),
    ("torch", "image"): LazyImport("tusou.encoders.torch.encoder:ClipImageEncoder"),
    ("openvino", "text"): LazyImport("tusou.encoders.openvino.encoders:OpenVinoTextEncoder"),
    ("openvino", "image"): LazyImport("tusou.encoders.openvino.encoders:OpenVinoImageEncoder"),
}


def load_text_encoder(
    weights: Weights,
    device: str = "auto",
    prompt: str | None = None,
    precision: str = "auto",
    backend: str = "auto",
) -> TextEncoder:
    """Load the text tower alone; with a prompt, every text is put into that template first.

    Device is `auto`, `cpu`, `cuda` or `cuda:N`. Precision is `fp32`, `bf16`, `fp16`, `int8` (on a
    processor with instructions for it: faster, and ranks suffer), or `auto`: fp16 on a GPU, bf16
    on a processor with instructions for it (AMX or AVX512-bf16) if the tower is large enough to
    gain, else fp32. Backend is `torch`, `openvino` (on processors; the first load converts the
    weights and keeps the result beside them), or `auto`, the faster of those there are.

    Raises BadModel for a file that is no cn_clip checkpoint, InvalidRequest for a device,
    precision, backend or prompt that cannot be, and MissingDependency for a backend that is not
    installed.
    """
    choice = resolve_encoder(weights, "text", device, precision, backend)
    load = cast(
        "Callable[[Weights, str, str], TextEncoder]", _ENCODERS[choice.backend, "text"].load()
    )
    encoder = load(weights, choice.device, choice.precision)
    return encoder if prompt is None else PromptedEncoder(encoder, prompt)


def load_image_encoder(
    weights: Weights, device: str = "auto", precision: str = "auto", backend: str = "auto"
) -> ImageEncoder:
    """Load the image tower alone; arguments and errors as for the text tower."""
    choice = resolve_encoder(weights, "image", device, precision, backend)
    load = cast(
        "Callable[[Weights, str, str], ImageEncoder]", _ENCODERS[choice.backend, "image"].load()
    )
    return load(weights, choice.device, choice.precision)


def prepare_service(weights: Weights, device: str = "auto") -> None:
    """Do now what the first start of a service on this device would do: convert the weights.

    A service may not be allowed to write beside them, and would convert them at every start.
    """
    for tower in _TOWERS:
        choice = resolve_encoder(weights, tower, device, "auto", "auto")
        if choice.backend == "openvino":
            convert = cast("Callable[[Weights, Tower, str], object]", _CONVERT.load())
            convert(weights, tower, choice.precision)


def image_size(weights: Weights) -> int:
    """Say the side of the images that the image tower takes, without loading it."""
    shape = shape_of(weights, "image")
    assert isinstance(shape, ImageShape)
    return shape.image_resolution
