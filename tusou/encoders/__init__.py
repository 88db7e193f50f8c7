"""Encoders by name: the model file is found here, torch and cn_clip are imported when it is read."""

import hashlib
from pathlib import Path
from typing import Protocol, cast

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


class _Download(Protocol):
    def __call__(self, name: str, cache: Path) -> Path: ...


class _LoadText(Protocol):
    def __call__(self, weights: Path, device: str) -> TextEncoder: ...


class _LoadImage(Protocol):
    def __call__(self, weights: Path, device: str) -> ImageEncoder: ...


def find_weights(model: str, cache: Path | None = None) -> Weights:
    """Find a published name (downloaded into the cache once), `demo`, or a checkpoint's path.

    The cache is cn_clip's own, `~/.cache/clip`, unless given. Raises InvalidRequest for a model
    that is none of these, and BadModel when the download fails.
    """
    if model in MODELS:
        download = cast(_Download, _DOWNLOAD.load())
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
    encoder = cast(_LoadText, _TEXT.load())(weights.path, device)
    return encoder if prompt is None else PromptedEncoder(encoder, prompt)


def load_image_encoder(weights: Weights, device: str = "auto") -> ImageEncoder:
    """Load the image tower alone; errors as for the text tower."""
    return cast(_LoadImage, _IMAGE.load())(weights.path, device)
