"""Encoders by name: a model file is found here; torch is imported when it is first read."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

from tusou.encoders.base import ImageEncoder, TextEncoder, Tokens, Weights
from tusou.encoders.prompted import PromptedEncoder
from tusou.errors import InvalidRequest
from tusou.registry import Lazy

__all__ = [
    "MODELS",
    "ImageEncoder",
    "TextEncoder",
    "Tokens",
    "Weights",
    "find_weights",
    "load_image_encoder",
    "load_text_encoder",
]

MODELS = ("ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "RN50")  # published by cn_clip

_DEMO = Path(__file__).parent.parent / "demo" / "tusou-demo.pt"

_DOWNLOAD = Lazy("tusou.encoders.cnclip:download")
_TEXT = Lazy("tusou.encoders.cnclip:ClipTextEncoder")
_IMAGE = Lazy("tusou.encoders.cnclip:ClipImageEncoder")


def find_weights(model: str, cache: Path | None = None) -> Weights:
    """Find a published name (downloaded into the cache once), `demo`, or a checkpoint's path.

    The cache is cn_clip's own, `~/.cache/clip`, unless given. Raises InvalidRequest for a model
    that is none of these, and BadModel when the download fails.
    """
    if model in MODELS:
        download = cast("Callable[[str, Path], Path]", _DOWNLOAD.load())
        path = download(model, cache or Path("~/.cache/clip").expanduser())
        return Weights(path, model, _digest(path))
    path = _DEMO if model == "demo" else Path(model).expanduser()
    if not path.is_file():
        raise InvalidRequest(
            f"No model {model!r}: give `demo`, one of {', '.join(MODELS)}, "
            "or the path of a cn_clip checkpoint (.pt)."
        )
    return Weights(path, "demo" if path == _DEMO else path.name, _digest(path))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_text_encoder(
    weights: Weights, device: str = "auto", prompt: str | None = None
) -> TextEncoder:
    """Load the text tower alone; with a prompt, every text is put into that template first.

    Device is `auto`, `cpu`, `cuda` or `cuda:N`. Raises BadModel and InvalidRequest.
    """
    load = cast("Callable[[Path, str], TextEncoder]", _TEXT.load())
    encoder = load(weights.path, device)
    return encoder if prompt is None else PromptedEncoder(encoder, prompt)


def load_image_encoder(weights: Weights, device: str = "auto") -> ImageEncoder:
    """Load the image tower alone; errors as for the text tower."""
    load = cast("Callable[[Path, str], ImageEncoder]", _IMAGE.load())
    return load(weights.path, device)
