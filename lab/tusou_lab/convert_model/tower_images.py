"""The images that a pretrained image tower takes: transform, mean and deviation."""

from collections.abc import Mapping
from typing import Any

from tusou.bundle.model_record import TransformRecord
from tusou.core.errors import BadModel
from tusou.encoders.families.preprocessing import (
    INTERPOLATIONS,
    ImageSettings,
    read_image_settings,
)
from tusou.encoders.model_folder import ModelFolder

_PROCESSOR = "preprocessor_config.json"
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5)
# Settings of a vision transformer's image processor that its file may leave out.
_DEFAULTS: dict[str, Any] = {
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": _HALF,
    "image_std": _HALF,
}
# ConvNeXt's processor, which ResNets have too, crops images that are smaller than this.
_CONVNEXT_CROPS_BELOW = 384
# torchvision resizes the shorter side to 256 and crops 224 from the middle.
_TORCHVISION_SIDE, _TORCHVISION_SHORTER = 224, 256


def read_images(folder: ModelFolder) -> ImageSettings:
    """Return what a folder's image processor does; BadModel where Tusou cannot do the same."""
    has_file = (folder.path / _PROCESSOR).is_file()
    settings = folder.read_json(_PROCESSOR) if has_file else {}
    name = settings.get("image_processor_type") or settings.get("feature_extractor_type") or ""
    if str(name).startswith("ConvNext"):
        return _convnext_images(folder, settings)
    return read_image_settings(folder, _DEFAULTS)


def torchvision_images(side: int | None) -> ImageSettings:
    """Return what torchvision's models were trained with; `side` is that of a transformer."""
    side = side or _TORCHVISION_SIDE
    transform = TransformRecord(
        side=side,
        fit="crop",
        shorter_side=round(side * _TORCHVISION_SHORTER / _TORCHVISION_SIDE),
        interpolation="bilinear",
        rgb_first=True,
        round_crop=True,
    )
    return ImageSettings(transform, _IMAGENET_MEAN, _IMAGENET_STD)


def _convnext_images(folder: ModelFolder, settings: Mapping[str, Any]) -> ImageSettings:
    """Return what ConvNeXt's processor does: a crop of small images, large ones squashed."""
    size = settings.get("size", _CONVNEXT_CROPS_BELOW)
    side = size.get("shortest_edge") if isinstance(size, Mapping) else size
    interpolation = INTERPOLATIONS.get(settings.get("resample", 2))
    if not isinstance(side, int) or interpolation is None:
        raise BadModel(f"{folder.path}: its images are resized in a way that Tusou does not know")
    crops = side < _CONVNEXT_CROPS_BELOW
    transform = TransformRecord(
        side=side,
        fit="crop" if crops else "squash",
        shorter_side=int(side / settings.get("crop_pct", 224 / 256)) if crops else None,
        interpolation=interpolation,
        rgb_first=True,
    )
    mean, std = (
        tuple(settings.get(name, default))
        for name, default in (("image_mean", _IMAGENET_MEAN), ("image_std", _IMAGENET_STD))
    )
    return ImageSettings(transform, mean, std)
