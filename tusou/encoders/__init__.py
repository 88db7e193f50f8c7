"""Text and image encoders by name; torch and OpenVINO are imported when one is loaded."""

from collections.abc import Callable
from typing import cast

from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import Tower
from tusou.encoders.base import ImageEncoder, TextEncoder, Tokens, Weights
from tusou.encoders.devices import release_memory
from tusou.encoders.prompted import PromptedEncoder
from tusou.encoders.select_backend import (
    BACKENDS,
    ResolvedEncoder,
    image_size,
    resolve_encoder,
)
from tusou.encoders.weights import DEMO, MODELS, find_weights

__all__ = [
    "BACKENDS",
    "DEMO",
    "MODELS",
    "ImageEncoder",
    "ResolvedEncoder",
    "TextEncoder",
    "Tokens",
    "Tower",
    "Weights",
    "find_weights",
    "image_size",
    "load_image_encoder",
    "load_text_encoder",
    "open_image_encoder",
    "open_text_encoder",
    "prepare_service",
    "release_memory",
    "resolve_encoder",
]

_TOWERS: tuple[Tower, ...] = ("text", "image")
_CONVERT = LazyImport("tusou.encoders.openvino.encoders:convert_to_cache")
_ENCODERS = {
    ("torch", "text"): LazyImport("tusou.encoders.torch.encoder:ClipTextEncoder"),
    ("torch", "image"): LazyImport("tusou.encoders.torch.encoder:ClipImageEncoder"),
    ("openvino", "text"): LazyImport("tusou.encoders.openvino.encoders:OpenVinoTextEncoder"),
    ("openvino", "image"): LazyImport("tusou.encoders.openvino.encoders:OpenVinoImageEncoder"),
}


def open_text_encoder(resolved: ResolvedEncoder, prompt: str | None = None) -> TextEncoder:
    """Load a resolved text tower; every text is first put into the prompt template, if any.

    Raises BadModel when the checkpoint is incomplete, and InvalidRequest for a bad template.
    """
    load = cast(
        "Callable[[ResolvedEncoder], TextEncoder]", _ENCODERS[resolved.backend, "text"].load()
    )
    encoder = load(resolved)
    return encoder if prompt is None else PromptedEncoder(encoder, prompt)


def open_image_encoder(resolved: ResolvedEncoder) -> ImageEncoder:
    """Load a resolved image tower; raise BadModel when the checkpoint is incomplete."""
    load = cast(
        "Callable[[ResolvedEncoder], ImageEncoder]", _ENCODERS[resolved.backend, "image"].load()
    )
    return load(resolved)


def load_text_encoder(
    weights: Weights,
    device: str = "auto",
    prompt: str | None = None,
    precision: str = "auto",
    backend: str = "auto",
) -> TextEncoder:
    """Resolve and load the text tower alone; every text is first put into `prompt`, if given.

    Device is `auto`, `cpu`, `cuda` or `cuda:N`. Precision is `fp32`, `bf16`, `fp16`, `int8` (by
    OpenVINO on a processor with VNNI or AMX: faster, and some ranks change), or `auto`: fp16 on a
    GPU, bf16 on a processor with AMX or AVX512-bf16 if the tower is large enough to gain, else
    fp32. Backend is `torch`, `openvino` (processors only; the first load converts the weights and
    stores the result beside them), or `auto`, the fastest that is installed.

    Raises BadModel for a file that is not a cn_clip checkpoint, InvalidRequest for arguments that
    are unknown or exclude each other, and MissingDependency for a backend that is not installed.
    """
    return open_text_encoder(resolve_encoder(weights, "text", device, precision, backend), prompt)


def load_image_encoder(
    weights: Weights, device: str = "auto", precision: str = "auto", backend: str = "auto"
) -> ImageEncoder:
    """Resolve and load the image tower alone; arguments and errors as for the text tower."""
    return open_image_encoder(resolve_encoder(weights, "image", device, precision, backend))


def prepare_service(weights: Weights, device: str = "auto") -> None:
    """Convert the weights now if a service on this device would convert them at its first start.

    A service that may not write beside the weights would convert them again at every start.
    """
    for tower in _TOWERS:
        resolved = resolve_encoder(weights, tower, device)
        if resolved.backend == "openvino":
            convert = cast("Callable[[Weights, Tower, str], object]", _CONVERT.load())
            convert(weights, tower, resolved.precision)
