"""Reads the pretrained towers that a model is put together from; other files are refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from tusou.core.errors import BadModel, InvalidRequest
from tusou.core.files import sha256_of
from tusou.encoders import Weights, find_weights
from tusou.encoders.checkpoint import TENSORS, load_checkpoint
from tusou.encoders.checkpoint_shapes import stored_tensors
from tusou.encoders.families.license import read_license
from tusou.encoders.families.preprocessing import ImageSettings
from tusou.encoders.forms.checkpoint_names import plain_names
from tusou.encoders.hubs.fetch import Fetcher
from tusou.encoders.library.dual_encoder import IMAGE_TYPES, TEXT_TYPES, pooler_option
from tusou.encoders.library.torchvision_towers import CLASSIFIERS, build_tower, read_architecture
from tusou.encoders.library.transformers_model import loading
from tusou.encoders.model_folder import ModelFolder
from tusou.encoders.model_name import parse_model
from tusou_lab.convert_model.sentence_modules import (
    SENTENCES,
    Pooling,
    first_module,
    read_pooling,
)
from tusou_lab.convert_model.tower_images import read_images, torchvision_images

# Models whose positions are counted from the id of the padding plus one.
_SHIFTED = ("roberta", "xlm-roberta", "camembert", "mpnet")


@dataclass(frozen=True, slots=True)
class TextSource:
    """A pretrained text tower, its tokenizer and the files of its licence."""

    module: nn.Module
    config: dict[str, Any]
    tokenizer: Any
    context: int  # tokens a text may have
    pooling: Pooling
    folder: ModelFolder
    license: str | None

    @property
    def digest(self) -> str:
        """The SHA-256 of the files that the tower was read from."""
        return self.folder.digest


@dataclass(frozen=True, slots=True)
class ImageSource:
    """A pretrained image tower."""

    module: nn.Module
    library: Literal["transformers", "torchvision"]
    config: dict[str, Any]
    images: ImageSettings
    digest: str  # SHA-256 of the files that it was read from
    folder: ModelFolder | None  # None: a checkpoint of torchvision
    license: str | None


def read_text_source(model: str, pooling: Pooling | None) -> TextSource:
    """Read a text tower in a folder of transformers or sentence-transformers, or of a hub.

    Without `pooling`, it is what the folder says, else `first`. Raises BadModel for another kind of
    model, and InvalidRequest if there is none.
    """
    root = parse_model(model)
    if isinstance(root, Path):
        folder = _open_folder(str(first_module(root)), "--text")
    else:
        _complete(find_weights(model))
        folder = _open_folder(model, "--text")
        root = folder.path
    _check_type(folder, TEXT_TYPES, IMAGE_TYPES, "--text", "--image")
    module = _load(folder)
    with loading(str(folder.path)):
        tokenizer = AutoTokenizer.from_pretrained(folder.path, local_files_only=True)
    if tokenizer.pad_token_id is None:
        raise BadModel(f"{folder.path}: its tokenizer has no padding")
    return TextSource(
        module,
        _config_of(module),
        tokenizer,
        _context(folder, tokenizer),
        pooling or read_pooling(root),
        folder,
        read_license(folder),
    )


def read_image_source(model: str) -> ImageSource:
    """Read an image tower: a folder of transformers, or a state dict of torchvision.

    Errors as for `read_text_source`.
    """
    path = parse_model(model)
    if isinstance(path, Path) and path.is_file():
        return _read_torchvision(path)
    folder = _open_folder(model, "--image")
    _check_type(folder, IMAGE_TYPES, TEXT_TYPES, "--image", "--text")
    module = _load(folder)
    config = _config_of(module)
    images = read_images(folder)
    return ImageSource(
        module, "transformers", config, images, folder.digest, folder, read_license(folder)
    )


def _read_torchvision(path: Path) -> ImageSource:
    stored = stored_tensors(load_checkpoint(path, path.name), Tensor)
    if not stored:
        raise BadModel(f"{path.name} holds no state dict of an image tower")
    tensors = plain_names(stored, TENSORS)
    config = read_architecture(tensors, path.name)
    module = build_tower(config)
    state = {name: each for name, each in tensors.items() if not name.startswith(CLASSIFIERS)}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise BadModel(f"{path.name} is not a model of torchvision: {reason}") from error
    images = torchvision_images(config.get("image_size"))
    digest = sha256_of(path)
    return ImageSource(module.eval(), "torchvision", config, images, digest, None, None)


def _complete(weights: Weights) -> None:
    """Download what an earlier release left out of a hub's model; BadModel if that fails."""
    if weights.source is None or weights.path.is_file():
        return
    try:
        Fetcher().complete(weights.source)
    except BadModel as error:
        raise BadModel(
            f"{weights.path} may lack files that say how the texts' vectors are made (modules.json "
            "and 1_Pooling/config.json of sentence-transformers), which earlier releases of Tusou "
            f"did not download: {error}. If the model has no such files, or the folder has them, "
            "give the folder to --text"
        ) from error


def _open_folder(model: str, option: str) -> ModelFolder:
    file = find_weights(model).file
    if not isinstance(file, ModelFolder):
        raise InvalidRequest(f"{option} takes a folder of transformers; {model} is a file")
    return file


def _check_type(
    folder: ModelFolder, right: frozenset[str], wrong: frozenset[str], option: str, other: str
) -> None:
    kind, config = folder.model_type, folder.config
    if kind in right:
        return
    if kind in wrong:
        raise BadModel(f"{folder.path} is a tower of type {kind}: give it as {other}")
    if {"text_config", "vision_config"} <= config.keys():
        raise BadModel(
            f"{folder.path} is a model of type {kind}, which has both towers: give it as --model"
        )
    raise BadModel(
        f"{folder.path} is a model of type {kind}, not one of those that {option} takes: "
        f"{', '.join(sorted(right))}"
    )


def _load(folder: ModelFolder) -> nn.Module:
    with loading(str(folder.path)):
        module, report = AutoModel.from_pretrained(
            folder.path,
            local_files_only=True,
            output_loading_info=True,
            dtype="float32",
            **pooler_option(folder.model_type),
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise BadModel(f"{folder.path} has no tensor {missing[0]!r}: it is damaged or incomplete")
    result: nn.Module = module.eval()
    return result


def _config_of(module: Any) -> dict[str, Any]:
    """Return a tower's configuration as numbers and names, without where it was read from."""
    config: dict[str, Any] = json.loads(module.config.to_json_string(use_diff=False))
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _context(folder: ModelFolder, tokenizer: Any) -> int:
    """Return the number of tokens that the tower, its tokenizer and its training allow."""
    config: Mapping[str, Any] = folder.config
    positions = int(config["max_position_embeddings"])
    if folder.model_type in _SHIFTED:
        positions -= int(config.get("pad_token_id", 1)) + 1
    limits = [positions, int(tokenizer.model_max_length)]
    if (folder.path / SENTENCES).is_file():
        limits.append(folder.read_json(SENTENCES).get("max_seq_length") or positions)
    return min(limits)
