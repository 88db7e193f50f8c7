"""Settings in the JSON files of a Chinese-CLIP folder, compared with what cn_clip computes."""

from collections.abc import Mapping
from typing import Any

from tusou.core.errors import BadModel
from tusou.encoders.architecture import IMAGE_EPS, TEXT_EPS, Tower
from tusou.encoders.model_folder import ModelFolder
from tusou.images.preprocess import MEAN, STD
from tusou.images.transform import ImageTransform

# The files in which transformers, in its versions, keeps the settings of images.
_IMAGE_FILES = ("preprocessor_config.json", "processor_config.json")
_NORMALISATION = (("image_mean", MEAN), ("image_std", STD))
_RESIZING = (("do_resize", True), ("resample", 3))  # 3 is Pillow's number of bicubic
_SECTIONS: dict[Tower, str] = {"text": "text_config", "image": "vision_config"}

# Settings that the towers compute with, by their names in config.json; also the defaults.
_COMPUTED: dict[Tower, dict[str, object]] = {
    "text": {
        "hidden_act": "gelu",
        "layer_norm_eps": TEXT_EPS,
        "position_embedding_type": "absolute",
    },
    "image": {"hidden_act": "quick_gelu", "layer_norm_eps": IMAGE_EPS, "num_channels": 3},
}


def read_heads(folder: ModelFolder, tower: Tower) -> int | None:
    """Return the number of a tower's attention heads, None if config.json does not say it.

    Raises BadModel if config.json says that the tower computes something else than cn_clip's.
    """
    section = _section(folder, tower)
    for name, computed in _COMPUTED[tower].items():
        value = section.get(name, computed)
        if value != computed:
            raise BadModel(
                f"{folder.path.name} has {name} {value!r} in {_SECTIONS[tower]}; Chinese-CLIP has "
                f"{computed!r}, and Tusou computes no other"
            )
    heads = section.get("num_attention_heads")
    if heads is None:
        return None
    if type(heads) is not int or heads < 1:
        raise BadModel(f"{folder.path.name} has {heads!r} attention heads in {_SECTIONS[tower]}")
    return heads


def read_transform(folder: ModelFolder, side: int) -> ImageTransform:
    """Return the transform of a folder's images.

    The published folders name cn_clip's: a square of bicubic pixels, without a crop. It is then
    done as cn_clip does it, which the weights were trained with: resized before the conversion to
    RGB. A folder that crops was trained with transformers, which converts first. Raises BadModel
    for settings that contradict config.json or that Tusou does not compute.
    """
    settings = _image_settings(folder)
    if settings is None:
        return ImageTransform(side)
    if any(settings.get(name, list(usual)) != list(usual) for name, usual in _NORMALISATION):
        raise BadModel(f"{folder.path.name} has another mean or std of images than Chinese-CLIP")
    if any(settings.get(name, usual) != usual for name, usual in _RESIZING):
        raise BadModel(f"{folder.path.name} resizes images in another way than bicubic")
    size, crop = settings.get("size"), settings.get("do_center_crop", True)
    if crop is False and _is_square(size, side):
        return ImageTransform(side)
    shortest = size.get("shortest_edge") if isinstance(size, dict) else size
    if crop is True and _is_square(settings.get("crop_size", side), side):
        shortest = side if shortest is None else shortest
        if type(shortest) is int and shortest >= side:
            return ImageTransform(side, "crop", shortest, rgb_first=True)
    raise BadModel(f"{folder.path.name} does not make images squares of {side} pixels")


def _is_square(size: object, side: int) -> bool:
    return size in (side, {"height": side, "width": side})


def _image_settings(folder: ModelFolder) -> dict[str, Any] | None:
    for name in _IMAGE_FILES:
        if name in folder:
            settings = folder.read_json(name)
            settings = settings.get("image_processor", settings)
            if isinstance(settings, dict):
                return settings
    return None


def _section(folder: ModelFolder, tower: Tower) -> Mapping[str, Any]:
    section = folder.config.get(_SECTIONS[tower]) or {}
    if not isinstance(section, dict):
        raise BadModel(f"{folder.path.name} has no {_SECTIONS[tower]} in config.json")
    return section
