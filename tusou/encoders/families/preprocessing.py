"""Preprocessing of images and texts as a transformers folder describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isclose
from pathlib import Path
from typing import Any

from tusou.bundle.model_record import TransformRecord
from tusou.core.errors import BadModel
from tusou.core.files import sha256_of
from tusou.encoders.model_folder import ModelFolder
from tusou.encoders.tokenizer_files import tokenizer_files
from tusou.images.transform import Interpolation

_IMAGES = "preprocessor_config.json"
_BOTH = "processor_config.json"  # since version 5 with the settings of images inside
_TOKENIZER = "tokenizer_config.json"
# Tokenizers of SigLIP 2, which was trained on texts in lower case. Gemma's leaves them as they are.
SIGLIP2_TOKENIZERS = ("Gemma", "Siglip2")
# Pillow's filters by the number that `resample` is stored as.
INTERPOLATIONS: Mapping[int, Interpolation] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
}

Channels = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """The settings of an image processor: resize, crop, scale to 0..1, normalise."""

    transform: TransformRecord
    mean: Channels
    std: Channels


def read_image_settings(folder: ModelFolder, defaults: Mapping[str, Any]) -> ImageSettings:
    """Return the settings of a folder's image processor; BadModel where Tusou cannot do the same.

    `defaults` are those of the processor's class, for what its file leaves out.
    """
    settings = {**defaults, **read_processor(folder)}
    if not settings["do_resize"]:
        raise BadModel(f"{folder.path}: its images are not resized, and must be of one size")
    scale = settings["rescale_factor"] if settings["do_rescale"] else 1.0
    if not isclose(scale, 1 / 255, rel_tol=1e-3):
        raise BadModel(f"{folder.path}: its images are scaled by {scale}, and not to 0..1")
    normal = settings["do_normalize"]
    return ImageSettings(
        _transform(folder, settings),
        _channels(folder, settings["image_mean"]) if normal else (0.0, 0.0, 0.0),
        _channels(folder, settings["image_std"]) if normal else (1.0, 1.0, 1.0),
    )


def read_processor(folder: ModelFolder) -> dict[str, Any]:
    """Return the content of the file about the image processor; BadModel without one."""
    if (folder.path / _IMAGES).is_file():
        return folder.read_json(_IMAGES)
    if (folder.path / _BOTH).is_file():
        inside = folder.read_json(_BOTH).get("image_processor")
        if isinstance(inside, dict):
            return inside
    raise BadModel(
        f"{folder.path} does not say how its images are prepared: copy {_IMAGES} of the model "
        "beside its config.json"
    )


def _transform(folder: ModelFolder, settings: Mapping[str, Any]) -> TransformRecord:
    size, crop = _sides(settings["size"]), None
    if settings.get("do_center_crop"):
        if isinstance(settings["size"], int):  # as in the files of 2021
            size = {"shortest_edge": settings["size"]}
        crop = _sides(settings.get("crop_size") or settings["size"])
        if crop == size and "height" in size:  # it is that square already
            crop = None
    interpolation = INTERPOLATIONS.get(settings["resample"])
    shorter = size.get("shortest_edge")
    square = crop or size
    side = square.get("height", square.get("shortest_edge"))
    squashed = crop is None and shorter is None
    known = isinstance(side, int) and square.get("width", side) == side
    if not known or interpolation is None or (shorter is None) != squashed:
        raise BadModel(
            f"{folder.path}: its images are not made squares in a way that Tusou knows: "
            f"size {settings['size']}, crop {settings.get('crop_size')}, resample "
            f"{settings['resample']}"
        )
    assert isinstance(side, int)
    return TransformRecord(
        side=side,
        fit="squash" if squashed else "crop",
        shorter_side=shorter if not squashed and shorter != side else None,
        interpolation=interpolation,
        rgb_first=True,
    )


def _sides(size: object) -> dict[str, int]:
    """Return a size by names: older files have a number, or give only the shorter side."""
    if isinstance(size, int):
        return {"height": size, "width": size}
    return dict(size) if isinstance(size, Mapping) else {}


def _channels(folder: ModelFolder, values: object) -> Channels:
    try:
        red, green, blue = (float(value) for value in values)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise BadModel(f"{folder.path}: mean and std are not three numbers") from None
    return red, green, blue


def read_tokenizer_settings(folder: ModelFolder) -> dict[str, Any]:
    """Return the content of `tokenizer_config.json`, which may be absent."""
    return folder.read_json(_TOKENIZER) if (folder.path / _TOKENIZER).is_file() else {}


def tokenizer_digest(folder: ModelFolder) -> str:
    """Return the SHA-256 over the names and digests of a tokenizer's files; BadModel without."""
    return digest_tokenizer(folder.path)


def digest_tokenizer(folder: Path) -> str:
    """Return that digest of the tokenizer in any folder; BadModel without one."""
    files = tokenizer_files(folder)
    if not files:
        raise BadModel(
            f"{folder} has no tokenizer: copy the model's tokenizer.json, or the vocabulary "
            "that it has instead, beside its config.json"
        )
    lines = (f"{sha256_of(path)} {path.name}\n" for path in files)
    return sha256("".join(lines).encode()).hexdigest()
