"""The configuration of an open_clip model: in its folder, or by the name of its architecture."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from tusou.core.errors import BadModel, MissingDependency
from tusou.encoders.base import Weights
from tusou.encoders.families.published_text_models import published_text_config
from tusou.encoders.forms.open_clip_text import text_config_name
from tusou.encoders.model_folder import OPEN_CLIP_CONFIG, ModelFolder
from tusou.encoders.open_clip_architecture import read_architecture, read_json_object
from tusou.encoders.open_file import OpenFile
from tusou.images.preprocess import MEAN, STD

CONTEXT = 77  # where the configuration names none

# The defaults of open_clip's PreprocessCfg.
_PREPROCESSING = {
    "mean": MEAN,
    "std": STD,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


@dataclass(frozen=True, slots=True)
class OpenClipConfig:
    """An architecture, its weights, and the folder with the files of its tokenizer."""

    architecture: str  # open_clip's name, or the class of a model whose name is not known
    checkpoint: OpenFile
    folder: Path
    model: Mapping[str, Any]  # `model_cfg`
    preprocessing: Mapping[str, Any]  # `preprocess_cfg`, with the defaults
    files: ModelFolder | None = None  # None: a checkpoint by the name of its architecture

    @property
    def text(self) -> Mapping[str, Any]:
        """The settings of the text tower."""
        return cast("Mapping[str, Any]", self.model["text_cfg"])

    @property
    def vision(self) -> Mapping[str, Any]:
        """The settings of the image tower."""
        return cast("Mapping[str, Any]", self.model["vision_cfg"])

    @property
    def dim(self) -> int:
        """The length of the vectors."""
        return int(self.model["embed_dim"])

    @property
    def context(self) -> int:
        """The tokens that a text may have."""
        return int(self.text.get("context_length", CONTEXT))

    @property
    def side(self) -> int:
        """The side of the square images, in pixels; BadModel if they are not square."""
        size = self.vision.get("image_size", 224)
        sides = set(size) if isinstance(size, list) else {size}
        if len(sides) != 1:
            raise BadModel(f"{self.architecture} takes images of {size}, which are not squares")
        return int(sides.pop())

    @property
    def text_model(self) -> str | None:
        """The name of the transformers model that is the text tower; None for open_clip's own."""
        return self.text.get("hf_model_name") or None

    @property
    def text_config_file(self) -> Path | None:
        """The file that configures the text tower of transformers, if the model has its own."""
        name = text_config_name(self.model)
        if name is None:
            return None
        path = self.folder / name  # of an absolute name, which open_clip takes too, that path
        is_there = path.is_file() if self.files is None else name in self.files
        return path if is_there else None

    def read_text_model(self) -> dict[str, Any]:
        """Return the configuration of the text tower of transformers: the model's, or as published.

        Raises BadModel for a text tower that has neither.
        """
        name = text_config_name(self.model)
        assert name is not None
        path = self.text_config_file
        if path is None:
            return published_text_config(str(self.text_model), self.folder / name)
        return self.files.read_json(name) if self.files else read_json_object(path)

    @property
    def has_library_tokenizer(self) -> bool:
        """Return whether transformers tokenises, and not open_clip's copy of OpenAI's tokenizer."""
        return bool(self.text.get("hf_tokenizer_name"))

    @property
    def tokenizer_class(self) -> str:
        """The class of transformers' tokenizer in the folder, or open_clip's own for any."""
        path = self.folder / "tokenizer_config.json"
        settings = read_json_object(path) if path.is_file() else {}
        return str(settings.get("tokenizer_class", "HFTokenizer"))

    @property
    def library_class(self) -> str:
        """The class of the model in open_clip."""
        if "multimodal_cfg" in self.model:
            return "CoCa"
        custom = self.model.get("custom_text", False) or self.text_model is not None
        return "CustomTextCLIP" if custom else "CLIP"

    def check_image_tower(self) -> None:
        """Raise MissingDependency for an image tower of timm, unless that is installed."""
        if self.vision.get("timm_model_name") and find_spec("timm") is None:
            raise MissingDependency(
                f"the image tower of {self.architecture} is one of timm, which is not installed: "
                "pip install timm"
            )


def is_open_clip(weights: Weights) -> bool:
    """Return whether weights are open_clip's: a checkpoint by a name of it, or its folder."""
    if weights.open_clip is not None:
        return True
    return isinstance(weights.file, ModelFolder) and OPEN_CLIP_CONFIG in weights.file


def read_config(weights: Weights) -> OpenClipConfig:
    """Return the configuration of an open_clip model; BadModel, MissingDependency."""
    path, file = weights.path, weights.file
    if isinstance(file, ModelFolder):
        return _read_folder(file)
    assert weights.open_clip is not None
    model = read_architecture(weights.open_clip)
    checkpoint = file or OpenFile(path)
    return _checked(weights.open_clip, checkpoint, path.parent, model, _PREPROCESSING)


def _read_folder(folder: ModelFolder) -> OpenClipConfig:
    checkpoint, content = folder.open_clip_file(), folder.read_json(OPEN_CLIP_CONFIG)
    given: object = content.get("preprocess_cfg") or {}
    model = content.get("model_cfg", {})
    if not isinstance(given, dict) or not isinstance(model, dict):
        raise BadModel(
            f"{folder.path / OPEN_CLIP_CONFIG} has no `model_cfg` as open_clip writes it"
        )
    chosen = {name: given[name] for name in _PREPROCESSING if given.get(name) is not None}
    preprocessing = {**_PREPROCESSING, **chosen}
    return _checked("", checkpoint, folder.path, model, preprocessing, folder)


def _checked(
    name: str,
    checkpoint: OpenFile,
    folder: Path,
    model: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    files: ModelFolder | None = None,
) -> OpenClipConfig:
    parts = [model.get("text_cfg"), model.get("vision_cfg")]
    if not all(isinstance(part, dict) for part in parts) or "embed_dim" not in model:
        raise BadModel(
            f"{folder / OPEN_CLIP_CONFIG} does not describe two towers as open_clip does"
        )
    config = OpenClipConfig(name, checkpoint, folder, model, preprocessing, files)
    return config if name else replace(config, architecture=config.library_class)
