"""The names that a model can be asked for by: published names, ids of hubs, open_clip's, paths."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from tusou.bundle.model_record import HubName
from tusou.core.errors import InvalidRequest

# The published models of Chinese-CLIP, and their files in cn_clip's cache and on the hubs.
MODELS = {
    "ViT-B-16": "clip_cn_vit-b-16.pt",
    "ViT-L-14": "clip_cn_vit-l-14.pt",
    "ViT-L-14-336": "clip_cn_vit-l-14-336.pt",
    "ViT-H-14": "clip_cn_vit-h-14.pt",
    "RN50": "clip_cn_rn50.pt",
}
DEMO = "demo"

_OPEN_CLIP = "open_clip:"
_HUB = re.compile(r"(?:(huggingface|modelscope):)?(.*)", re.DOTALL)
# No hub has longer names, and no system stores names of over 255 characters.
_ID = re.compile(r"([A-Za-z0-9][\w.-]{0,127}/[A-Za-z0-9][\w.-]{0,127})(?:@([\w./-]+))?", re.ASCII)
# Names that end like a file are paths, not models of a hub.
_FILES = (
    *(".pt", ".pth", ".ckpt", ".tar", ".bin", ".safetensors"),
    *(".json", ".onnx", ".h5", ".msgpack", ".zip"),
)
_LONGEST_SHOWN = 200  # characters of a name in a message


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model that cn_clip publishes, on both hubs; `hub` is None for the one that is set."""

    name: str
    hub: HubName | None = None


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model of a hub by its id, at a branch, tag or commit; None for the default branch."""

    id: str
    hub: HubName | None = None
    revision: str | None = None

    def __str__(self) -> str:
        hub = f"{self.hub}:" if self.hub else ""
        return f"{hub}{self.id}@{self.revision}" if self.revision else f"{hub}{self.id}"


@dataclass(frozen=True, slots=True)
class OpenClipModel:
    """An architecture of open_clip by its name, and its checkpoint: a file, or one of a hub."""

    architecture: str
    checkpoint: HubModel | Path


ModelName: TypeAlias = PublishedModel | HubModel | OpenClipModel | Path


def parse_model(text: str) -> ModelName:
    """Parse the value of `--model`; what names no model of a hub is a path, which may be missing.

    Raises InvalidRequest for a name of open_clip without its checkpoint, and for a path that the
    system cannot look up. `demo` is the path of the
    demo model's name alone: the caller knows its file.
    """
    if text.startswith(_OPEN_CLIP):
        architecture, _, checkpoint = text.removeprefix(_OPEN_CLIP).partition("@")
        if not architecture or not checkpoint:
            raise InvalidRequest(
                f"{text!r}: give open_clip's name of the architecture and its checkpoint, as in "
                "open_clip:ViT-B-32@/path/to/checkpoint.pt or open_clip:ViT-B-32@OWNER/NAME"
            )
        return OpenClipModel(architecture, _parse_place(checkpoint))
    match = _HUB.fullmatch(text)
    assert match
    if match[2] in MODELS:
        return PublishedModel(match[2], match[1])  # type: ignore[arg-type]
    return _parse_place(text)


def on_hub(text: str, hub: HubName | None) -> str:
    """Return the name of a model with its hub, if it is taken from one and names none."""
    name = parse_model(text)
    if hub is None or text.partition(":")[0] in {"huggingface", "modelscope"}:
        return text
    match name:
        case PublishedModel() | HubModel():
            return f"{hub}:{text}"
        case OpenClipModel(architecture, HubModel(hub=None) as checkpoint):
            return f"{_OPEN_CLIP}{architecture}@{replace(checkpoint, hub=hub)}"
        case _:
            return text


def _parse_place(text: str) -> HubModel | Path:
    match = _HUB.fullmatch(text)
    assert match
    path, exists = _look_up(text)
    parts = _ID.fullmatch(match[2])
    is_path = match[1] is None and (exists or text.endswith(_FILES))
    if parts is None or is_path:
        return path
    return HubModel(parts[1], match[1], parts[2])  # type: ignore[arg-type]


def _look_up(text: str) -> tuple[Path, bool]:
    """Return a path with the home folder in place of `~`, and whether it exists; InvalidRequest."""
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    try:
        path = Path(text).expanduser()
        return path, path.exists()
    except RuntimeError:
        user = text.partition("/")[0]
        raise InvalidRequest(f"No model {shown!r}: there is no user {user[1:]!r} here.") from None
    except OSError as error:
        raise InvalidRequest(f"No model {shown!r}: {error.strerror}.") from None
