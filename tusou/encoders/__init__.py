"""Text and image encoders by name; torch and OpenVINO are imported when one is loaded."""

from collections.abc import Callable, Sequence
from typing import cast

from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import LibraryShape, Tower
from tusou.encoders.base import ImageEncoder, TextEncoder, Tokens, Weights
from tusou.encoders.devices import release_memory
from tusou.encoders.ensemble import (
    EnsembleImageEncoder,
    combine_text_encoders,
    image_part,
    join_names,
    text_part,
    without_prompt,
)
from tusou.encoders.families import find_family
from tusou.encoders.families.license import find_license
from tusou.encoders.image_views import ViewsEncoder
from tusou.encoders.model_name import DEMO, MODELS
from tusou.encoders.prompted import PromptedEncoder
from tusou.encoders.resolved_model import ModelWeights, ResolvedModel, resolve_model, split_names
from tusou.encoders.select_backend import (
    BACKENDS,
    ResolvedEncoder,
    describe_encoder,
    image_transform,
    resolve_encoder,
)
from tusou.encoders.weights import find_weights
from tusou.images.views import Views

__all__ = [
    "BACKENDS",
    "DEMO",
    "MODELS",
    "ImageEncoder",
    "ModelWeights",
    "ResolvedEncoder",
    "ResolvedModel",
    "TextEncoder",
    "Tokens",
    "Tower",
    "Weights",
    "combine_text_encoders",
    "describe_encoder",
    "find_license",
    "find_weights",
    "image_part",
    "image_transform",
    "join_names",
    "load_image_encoder",
    "load_reference_image_encoder",
    "load_reference_text_encoder",
    "load_text_encoder",
    "open_image_encoder",
    "open_image_model",
    "open_text_encoder",
    "open_text_model",
    "prepare_service",
    "release_memory",
    "resolve_encoder",
    "resolve_model",
    "split_names",
    "text_part",
    "with_views",
    "without_prompt",
]

_CONVERT = LazyImport("tusou.encoders.openvino.encoders:convert_to_cache")
_ENCODERS = {
    ("torch", "text"): LazyImport("tusou.encoders.torch.encoder:ClipTextEncoder"),
    ("torch", "image"): LazyImport("tusou.encoders.torch.encoder:ClipImageEncoder"),
    ("transformers", "text"): LazyImport("tusou.encoders.library.encoders:LibraryTextEncoder"),
    ("transformers", "image"): LazyImport("tusou.encoders.library.encoders:LibraryImageEncoder"),
    ("open_clip", "text"): LazyImport("tusou.encoders.library.encoders:LibraryTextEncoder"),
    ("open_clip", "image"): LazyImport("tusou.encoders.library.encoders:LibraryImageEncoder"),
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


def open_text_model(resolved: ResolvedModel, prompts: Sequence[str] = ()) -> TextEncoder:
    """Load the text towers of a model; every text is first put into the templates, if any.

    Errors as for `open_text_encoder`.
    """
    towers = [open_text_encoder(member) for member in resolved.members]
    records = [member.record for member in resolved.members]
    return combine_text_encoders(towers, resolved.weights, prompts, records)


def open_image_model(resolved: ResolvedModel, views: Views) -> ImageEncoder:
    """Load the image towers of a model, whose vectors are means over the views of an image."""
    encoders = [with_views(open_image_encoder(member), views) for member in resolved.members]
    return encoders[0] if len(encoders) == 1 else EnsembleImageEncoder(encoders, resolved.weights)


def with_views(encoder: ImageEncoder, views: Views) -> ImageEncoder:
    """Return the encoder, or one that averages over views of each image if there are any."""
    return ViewsEncoder(encoder, views) if views else encoder


def load_text_encoder(
    weights: Weights,
    device: str = "auto",
    prompt: str | None = None,
    precision: str = "auto",
    backend: str = "auto",
) -> TextEncoder:
    """Resolve and load the text tower alone; every text is first put into `prompt`, if given.

    The other arguments, and the errors, are those of `resolve_encoder`.
    """
    return open_text_encoder(resolve_encoder(weights, "text", device, precision, backend), prompt)


def load_image_encoder(
    weights: Weights, device: str = "auto", precision: str = "auto", backend: str = "auto"
) -> ImageEncoder:
    """Resolve and load the image tower alone; arguments and errors as for the text tower."""
    return open_image_encoder(resolve_encoder(weights, "image", device, precision, backend))


def load_reference_text_encoder(weights: Weights, prompt: str | None = None) -> TextEncoder:
    """Load the text tower on the processor in single precision: in torch, or by its library."""
    return load_text_encoder(weights, "cpu", prompt, "fp32", _reference_backend(weights, "text"))


def load_reference_image_encoder(weights: Weights) -> ImageEncoder:
    """Load the image tower likewise."""
    return load_image_encoder(weights, "cpu", "fp32", _reference_backend(weights, "image"))


def prepare_service(weights: Weights, device: str = "auto") -> None:
    """Convert the weights now if a service on this device would convert them at its first start.

    A service that may not write beside the weights would convert them again at every start.
    """
    towers: tuple[Tower, ...] = ("text", "image")
    for tower in towers:
        resolved = resolve_encoder(weights, tower, device)
        if resolved.backend == "openvino":
            convert = cast("Callable[[ResolvedEncoder], object]", _CONVERT.load())
            convert(resolved)


def _reference_backend(weights: Weights, tower: Tower) -> str:
    shape = find_family(weights).read_shape(weights, tower)
    return shape.library if isinstance(shape, LibraryShape) else "torch"
