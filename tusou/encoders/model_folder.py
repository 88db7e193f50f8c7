"""A model as a folder, as transformers stores it: `config.json` beside the files of tensors."""

import json
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from tusou.core.errors import BadModel
from tusou.core.file_kinds import CHECKPOINT, describe_foreign_file
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import Shaped
from tusou.encoders.checkpoint_shapes import read_stored_shapes
from tusou.encoders.forms.foreign_folders import (
    describe_foreign_folder,
    describe_missing_tensors,
)
from tusou.encoders.forms.layouts import TensorShape
from tusou.encoders.forms.open_clip_text import text_config_name
from tusou.encoders.open_file import OpenFile
from tusou.encoders.safetensors_header import read_safetensors_shapes

CONFIG = "config.json"
OPEN_CLIP_CONFIG = "open_clip_config.json"
SAFETENSORS = ".safetensors"
# In place of config.json, in the folders of Chinese-CLIP in ModelScope's own layout.
_MODELSCOPE = ("vision_model_config.json", "text_model_config.json")
_READ_TENSORS = LazyImport("tusou.encoders.checkpoint:read_stored_tensors")  # imports torch
# Files that say what the model computes, beside its tensors; others, such as README.md, may change.
_ENDINGS = (".json", ".txt", ".model", ".py")
_MAX_JSON = 64 * 1024**2  # bytes; the largest tokenizers have 35 MB

# In the order in which transformers takes them, each also as shards that an index lists.
_TENSORS = ("model.safetensors", "pytorch_model.bin")
_INDEX = ".index.json"

# In the order in which open_clip takes them.
_OPEN_CLIP_TENSORS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    *_TENSORS,
    "pytorch_model.pth",
    "model.pth",
)


class ModelFolder:
    """A folder with a model, whose files are opened once; BadModel if one is missing or wrong.

    Bytes are read as they are needed, of the files that were in the folder when it was opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            names = sorted(entry.name for entry in path.iterdir())
            if not _is_model(names):
                kind = describe_foreign_folder(path) or f"holds no model: it has no {CONFIG}"
                raise BadModel(f"{path} {kind}")
            self._files = {name: self._open(name) for name in names if name.endswith(_ENDINGS)}
            self._tensor_names = self._find_tensors(names)
            self._files |= {name: self._open(name) for name in self._tensor_names}
            if OPEN_CLIP_CONFIG in names:  # transformers' files may be beside open_clip's
                name = next((name for name in _OPEN_CLIP_TENSORS if name in names), None)
                self._files |= {name: self._open(name)} if name else {}
                self._files |= self._open_text_config()
        except OSError as error:
            raise BadModel(f"cannot read {error.filename or path}: {error.strerror}") from error

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of `config.json`; empty for a folder of open_clip, which has none."""
        if CONFIG in self:
            return self.read_json(CONFIG)
        return {"model_type": "chinese_clip"} if _MODELSCOPE[0] in self else {}

    @property
    def model_type(self) -> str:
        """The type that `config.json` names, such as chinese_clip or siglip."""
        return str(self.config.get("model_type", ""))

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over the names and digests of the files that the model is made of."""
        lines = (f"{file.digest} {name}\n" for name, file in sorted(self._files.items()))
        return sha256("".join(lines).encode()).hexdigest()

    @cached_property
    def shapes(self) -> dict[str, TensorShape]:
        """The shapes of all tensors, by the library's names.

        Raises MissingDependency where only torch can read them and is not installed.
        """
        shapes: dict[str, TensorShape] = {}
        for file in self.open_tensor_files():
            shapes |= _read_shapes(file)
        return shapes

    def files(self) -> list[Path]:
        """Return the files that the model is made of, in order of their names."""
        return [self.path / name for name in sorted(self._files)]

    def tensor_files(self) -> list[Path]:
        """Return the files of tensors."""
        return [self.path / name for name in self._tensor_names]

    def open_tensor_files(self) -> list[OpenFile]:
        """Return the files of tensors as they were when the folder was opened.

        Raises BadModel if there are none, with what the folder has instead.
        """
        if not self._tensor_names:
            names = sorted(entry.name for entry in self.path.iterdir())
            raise BadModel(f"{self.path} {describe_missing_tensors(names)}")
        return [self._files[name] for name in self._tensor_names]

    def open_clip_file(self) -> OpenFile:
        """Return the file of tensors that open_clip takes; BadModel if there is none."""
        for name in _OPEN_CLIP_TENSORS:
            if name in self._files:
                return self._files[name]
        raise BadModel(
            f"{self.path} has no weights: copy {_OPEN_CLIP_TENSORS[0]} of the model into it"
        )

    def __contains__(self, name: str) -> bool:
        """Return whether a file of this name was there when the folder was opened."""
        return name in self._files

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file of text; BadModel if there is none, or it is too large."""
        file = self._files.get(name)
        if file is None:
            raise BadModel(f"{self.path} has no {name}: download it again")
        if file.size > _MAX_JSON:
            raise BadModel(f"{self.path / name} has {file.size:,} bytes: this is not such a file")
        _refuse_foreign(file)
        with file.open() as opened:
            return opened.read()

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the object in a JSON file of the folder; BadModel if there is none."""
        try:
            value = json.loads(self.read_bytes(name))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise BadModel(f"{self.path / name} is not a JSON object")
        return value

    def check_unchanged(self, *, in_place: bool = False) -> None:
        """Raise BadModel if a file was written to since the folder was opened.

        With `in_place`, also if another file took its name: for a library that reads by names.
        """
        for file in self._files.values():
            file.check_unchanged(in_place=in_place)

    def _open(self, name: str) -> OpenFile:
        path = self.path / name
        if path.is_symlink() and not path.exists():
            raise BadModel(f"{path} is a link to a file that is not there: download it again")
        return OpenFile(path)

    def _open_text_config(self) -> dict[str, OpenFile]:
        """Open the configuration of open_clip's text tower, which lies in a folder of its own."""
        name = text_config_name(self.read_json(OPEN_CLIP_CONFIG).get("model_cfg"))
        return {name: self._open(name)} if name and (self.path / name).is_file() else {}

    def _find_tensors(self, names: list[str]) -> list[str]:
        """Return the names of the files of tensors; BadModel for shards that are missing."""
        for name in _TENSORS:
            if name in names:
                return [name]
            if name + _INDEX in self._files:
                return self._read_index(name + _INDEX, names)
        return [name for name in names if name.endswith(SAFETENSORS) and not _is_adapter(name)]

    def _read_index(self, index: str, names: list[str]) -> list[str]:
        shards = self.read_json(index).get("weight_map")
        if not isinstance(shards, dict) or not all(
            isinstance(each, str) for each in shards.values()
        ):
            raise BadModel(f"{self.path / index} lists no tensors")
        # Only names of files beside the index: it may come from anywhere.
        missing = sorted(set(shards.values()) - set(names))
        if missing:
            raise BadModel(
                f"{self.path} lacks {len(missing)} of its {len(set(shards.values()))} files of "
                f"tensors, such as {missing[0]}: download it again"
            )
        return sorted(set(shards.values()))


def _is_adapter(name: str) -> bool:
    return name.startswith("adapter_")


def _refuse_foreign(file: OpenFile) -> None:
    kind = describe_foreign_file(file.readable_path)
    if kind and kind != CHECKPOINT:
        raise BadModel(f"{file.path} {kind}")


def _read_shapes(file: OpenFile) -> dict[str, TensorShape]:
    _refuse_foreign(file)
    with file.open() as opened:
        if file.path.suffix == SAFETENSORS:
            return read_safetensors_shapes(opened, file.size, file.path.name)
        shapes = read_stored_shapes(opened)
    if shapes is None:  # in a format that only torch reads
        read = cast("Callable[..., Mapping[str, Shaped]]", _READ_TENSORS.load())
        tensors = read(file.readable_path, file.path.name)
        shapes = {name: TensorShape(tuple(tensor.shape)) for name, tensor in tensors.items()}
    return shapes


def is_model_folder(path: Path) -> bool:
    """Return whether a folder holds a model."""
    return path.is_dir() and _is_model([entry.name for entry in path.iterdir()])


def _is_model(names: Collection[str]) -> bool:
    return CONFIG in names or OPEN_CLIP_CONFIG in names or set(_MODELSCOPE) <= set(names)
