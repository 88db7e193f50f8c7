"""A model as a folder, as transformers stores it: `config.json` beside the files of tensors."""

import json
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from tusou.core.errors import BadModel
from tusou.core.files import sha256_of
from tusou.encoders.checkpoint_shapes import TensorShape

CONFIG = "config.json"
_TENSORS = ".safetensors"
# Files that say what the model computes; others, such as README.md, may change.
_ENDINGS = (".json", ".txt", ".model", ".safetensors", ".bin", ".pt", ".py")


class ModelFolder:
    """A folder with a model. Its files are read as they are needed; BadModel if one is wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not is_model_folder(path):
            raise BadModel(f"{path} holds no model: it has no {CONFIG}")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of `config.json`."""
        return self.read_json(CONFIG)

    @property
    def model_type(self) -> str:
        """The type that `config.json` names, such as chinese_clip or siglip."""
        return str(self.config.get("model_type", ""))

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over the names and digests of the files that the model is made of."""
        lines = (f"{sha256_of(path)} {path.name}\n" for path in self.files())
        return sha256("".join(lines).encode()).hexdigest()

    @cached_property
    def shapes(self) -> dict[str, TensorShape]:
        """The shapes of all tensors, by the library's names."""
        from safetensors import safe_open  # noqa: PLC0415 - of folders alone

        shapes = {}
        for path in self.tensor_files():
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 - not a dict, and not iterable
                    shapes[name] = TensorShape(tuple(file.get_slice(name).get_shape()))
        return shapes

    def files(self) -> list[Path]:
        """Return the files that the model is made of, in order of their names."""
        found = (path for path in self.path.iterdir() if path.suffix in _ENDINGS)
        return sorted(path for path in found if path.is_file())

    def tensor_files(self) -> list[Path]:
        """Return the files of tensors."""
        return [path for path in self.files() if path.suffix == _TENSORS]

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the object in a JSON file of the folder; BadModel if there is none."""
        try:
            value = json.loads((self.path / name).read_bytes())
        except (OSError, ValueError):
            value = None
        if not isinstance(value, dict):
            raise BadModel(f"{self.path / name} is not a JSON object")
        return value


def is_model_folder(path: Path) -> bool:
    """Return whether a folder holds a model."""
    return (path / CONFIG).is_file()
