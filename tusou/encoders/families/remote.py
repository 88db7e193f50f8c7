"""Models that bring code of their own, such as jina-clip and FG-CLIP, run by transformers."""

from collections.abc import Mapping, Sequence
from math import exp
from typing import TYPE_CHECKING, Any, Literal

from tusou.bundle.model_record import EncoderRecord, TransformRecord
from tusou.core.errors import BadModel, InvalidRequest
from tusou.core.remote_code import TRUST_VARIABLE, is_code_trusted
from tusou.encoders.architecture import LibraryShape, Tower
from tusou.encoders.base import Tokenizer, Weights
from tusou.encoders.families.base import count_numbers
from tusou.encoders.families.by_library import open_by_library, refuse_tensors
from tusou.encoders.families.license import read_license
from tusou.encoders.families.preprocessing import (
    SIGLIP2_TOKENIZERS,
    ImageSettings,
    read_image_settings,
    read_processor,
    read_tokenizer_settings,
    tokenizer_digest,
)
from tusou.encoders.families.scalars import read_scalar
from tusou.encoders.model_folder import ModelFolder
from tusou.images.preprocess import MEAN, STD
from tusou.images.transform import Interpolation

if TYPE_CHECKING:
    from torch import Tensor

REMOTE = "remote"
_LIBRARY: Literal["transformers"] = "transformers"
_PROMPTS = "config_sentence_transformers.json"
_MAX_CONTEXT = 8192
_IMAGE_DEFAULTS: Mapping[str, Any] = {
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "do_center_crop": True,
    "crop_size": None,
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
}
_INTERPOLATIONS: Mapping[str, Interpolation] = {"bicubic": "bicubic", "bilinear": "bilinear"}
_PREFIXES: Mapping[Tower, tuple[str, ...]] = {"text": ("text",), "image": ("vision", "visual")}
_PROJECTIONS: Mapping[Tower, str] = {
    "text": "text_projection.weight",
    "image": "visual_projection.weight",
}


class Remote:
    """A folder whose `config.json` names classes in files of the folder (`auto_map`)."""

    name = REMOTE

    def matches(self, weights: Weights) -> bool:
        return isinstance(weights.file, ModelFolder) and bool(_classes(weights.file))

    def describe(self, weights: Weights) -> EncoderRecord:
        folder = _trusted(weights)
        tokenizer = read_tokenizer_settings(folder)
        name = str(tokenizer.get("tokenizer_class", "AutoTokenizer"))
        masked = "attention_mask" in tokenizer.get("model_input_names", ["attention_mask"])
        images = _image_settings(folder)
        return EncoderRecord(
            family=self.name,
            library=_LIBRARY,
            architecture=model_class(folder).rpartition(".")[2],
            tokenizer=name,
            tokenizer_sha256=tokenizer_digest(folder),
            context_length=_context(folder, tokenizer),
            # Without a mask the tower reads the padding, which then must always be the same.
            padding="longest" if masked else "max_length",
            lower_case=name.startswith(SIGLIP2_TOKENIZERS) or bool(tokenizer.get("do_lower_case")),
            template=_template(folder),
            transform=images.transform,
            mean=images.mean,
            std=images.std,
            normalized=True,
            logit_scale=exp(_scalar(folder, "logit_scale")),
            logit_bias=_scalar(folder, "logit_bias"),
            license=read_license(folder),
        )

    def read_shape(self, weights: Weights, tower: Tower) -> LibraryShape:
        folder = _trusted(weights)
        return LibraryShape(_dim(folder, tower), tower, _LIBRARY)

    def count_parameters(self, weights: Weights, tower: Tower) -> int:
        return count_numbers(_trusted(weights).shapes, _PREFIXES[tower])

    def open_tokenizer(self, weights: Weights) -> Tokenizer:
        return open_by_library(weights, self.describe(weights))

    def read_tensors(self, weights: Weights) -> "Mapping[str, Tensor]":
        refuse_tensors(weights)


def model_class(folder: ModelFolder) -> str:
    """Return the class of the model in the folder's code, as `file.Class`."""
    classes = _classes(folder)
    return classes.get("AutoModel") or next(iter(classes.values()))


def config_class(folder: ModelFolder) -> str:
    """Return the class of its configuration; BadModel without one."""
    name = _local(folder).get("AutoConfig")
    if name is None:
        raise BadModel(f"{folder.path} does not name the class of its configuration (AutoConfig)")
    return name


def _classes(folder: ModelFolder) -> dict[str, str]:
    """Return the classes of models that the configuration names, by the way to load them."""
    return {name: each for name, each in _local(folder).items() if name.startswith("AutoModel")}


def _local(folder: ModelFolder) -> dict[str, str]:
    """Return `auto_map` without the repositories that the code was published in."""
    named = folder.config.get("auto_map")
    if not isinstance(named, Mapping):
        return {}
    return {
        name: each.rpartition("--")[2]
        for name, each in named.items()
        if isinstance(name, str) and isinstance(each, str) and "." in each
    }


def _trusted(weights: Weights) -> ModelFolder:
    """Return the model's folder; InvalidRequest unless its code may run, BadModel without it."""
    folder = weights.file
    assert isinstance(folder, ModelFolder)
    files = sorted({f"{name.partition('.')[0]}.py" for name in _local(folder).values()})
    missing = [name for name in files if not (folder.path / name).is_file()]
    if missing:
        raise BadModel(
            f"{weights.name} is computed by code that is not in its folder: copy "
            f"{', '.join(missing)} into {folder.path}, from the repository that auto_map names in "
            "its config.json"
        )
    if not is_code_trusted():
        code = ", ".join(path.name for path in folder.files() if path.suffix == ".py")
        raise InvalidRequest(
            f"{weights.name} is computed by code of its own, which would run here with all your "
            f"rights: {code} in {folder.path}. Read it, and give --trust-remote-code or set "
            f"{TRUST_VARIABLE}=on if you trust it."
        )
    return folder


def _dim(folder: ModelFolder, tower: Tower) -> int:
    """Return the length of the vectors, by the projection or by the configuration; BadModel."""
    projection = folder.shapes.get(_PROJECTIONS[tower])
    if projection is not None and len(projection.shape) == 2:
        return projection.shape[0]
    inside = folder.config.get("text_config" if tower == "text" else "vision_config") or {}
    named = (
        folder.config.get("projection_dim"),
        *(inside.get(name) for name in ("projection_dim", "embed_dim", "hidden_size")),
    )
    for value in named:
        if isinstance(value, int) and value > 0:
            return value
    raise BadModel(f"{folder.path}: its config.json does not say how long the vectors are")


def _context(folder: ModelFolder, tokenizer: Mapping[str, Any]) -> int:
    """Return how many tokens a text may have: what both tokenizer and tower have room for."""
    text = folder.config.get("text_config") or {}
    named = (tokenizer.get("model_max_length"), text.get("max_position_embeddings"))
    # A tokenizer without a limit names one of 10^30.
    limits = [int(n) for n in named if isinstance(n, int | float) and 0 < n <= _MAX_CONTEXT * 4]
    if not limits:
        raise BadModel(f"{folder.path} does not say how many tokens a text may have")
    return min(*limits, _MAX_CONTEXT)


def _template(folder: ModelFolder) -> str | None:
    """Return the prompt of queries that the files for sentence-transformers name."""
    if not (folder.path / _PROMPTS).is_file():
        return None
    settings = folder.read_json(_PROMPTS)
    prompts = settings.get("prompts")
    if not isinstance(prompts, Mapping):
        return None
    prompt = prompts.get(settings.get("default_prompt_name") or "query")
    return f"{prompt}{{query}}" if isinstance(prompt, str) and prompt else None


def _scalar(folder: ModelFolder, name: str) -> float:
    return read_scalar(folder, name) if name in folder.shapes else 0.0


def _image_settings(folder: ModelFolder) -> ImageSettings:
    settings = read_processor(folder)
    if "resize_mode" not in settings:
        return read_image_settings(folder, _IMAGE_DEFAULTS)
    return _read_open_clip(folder, settings)


def _read_open_clip(folder: ModelFolder, settings: Mapping[str, Any]) -> ImageSettings:
    """Return the settings of a processor that has open_clip's names, as jina-clip's; BadModel."""
    size, mode = settings.get("size"), settings["resize_mode"]
    side = size[0] if isinstance(size, Sequence) else size
    interpolation = settings.get("interpolation")
    square = not isinstance(size, Sequence) or len(set(size)) == 1
    known = interpolation in _INTERPOLATIONS and mode in {"shortest", "squash"}
    if not (isinstance(side, int) and square and known):
        raise BadModel(
            f"{folder.path}: its images are not made squares in a way that Tusou knows: size "
            f"{size}, resize_mode {mode}, interpolation {interpolation}"
        )
    return ImageSettings(
        TransformRecord(
            side=side,
            fit="squash" if mode == "squash" else "crop",
            shorter_side=None,
            interpolation=_INTERPOLATIONS[str(interpolation)],
            rgb_first=False,
            round_crop=True,
        ),
        tuple(settings.get("mean") or MEAN),
        tuple(settings.get("std") or STD),
    )
