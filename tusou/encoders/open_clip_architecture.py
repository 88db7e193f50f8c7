"""Architectures of open_clip by their names, and the digest of a checkpoint that is one of them."""

import json
from dataclasses import replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tusou.core.errors import BadModel, MissingDependency
from tusou.core.files import sha256_of
from tusou.encoders.base import Weights
from tusou.encoders.forms.open_clip_text import text_config_name


def with_architecture(weights: Weights, architecture: str) -> Weights:
    """Return a checkpoint as one of an architecture of open_clip, by its name.

    The same tensors in another architecture are another model, with a digest of its own, and so
    they are with another configuration of the text tower beside them. Raises BadModel if that
    cannot be read.
    """
    lines = f"{weights.digest} open_clip:{architecture}\n{_text_config_line(weights, architecture)}"
    location = f"open_clip:{architecture}@{weights.location}"
    digest = sha256(lines.encode()).hexdigest()
    return replace(weights, digest=digest, open_clip=architecture, location=location)


def read_architecture(name: str) -> dict[str, Any]:
    """Return the `model_cfg` that open_clip has for a name, without importing it.

    Raises MissingDependency without open_clip, and BadModel for a name that it does not have.
    """
    library = find_spec("open_clip")
    if library is None or not library.submodule_search_locations:
        raise MissingDependency(
            "a model by its open_clip name needs open_clip, which is not installed: install "
            "tusou[models]"
        )
    configs = Path(library.submodule_search_locations[0], "model_configs")
    path = configs / f"{name}.json"
    if path not in configs.glob("*.json"):
        raise BadModel("this open_clip has no architecture of that name: see open_clip.list_models")
    return read_json_object(path)


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; BadModel if there is none."""
    value: object
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadModel(f"{path} is not a JSON object")
    return value


def _text_config_line(weights: Weights, architecture: str) -> str:
    """Return digest and name of the text tower's configuration beside a checkpoint, if any."""
    try:
        name = text_config_name(read_architecture(architecture))
    except (BadModel, MissingDependency):  # reading the model reports it
        return ""
    path = weights.path.parent / (name or "")
    try:
        return f"{sha256_of(path)} {name}\n" if path.is_file() else ""
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror}") from error
