"""Settings of downloads, read from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.model_record import HubName
from tusou.core.errors import InvalidRequest
from tusou.encoders.hubs import huggingface, modelscope
from tusou.encoders.hubs.base import Hub

HUB_NAMES: tuple[HubName, ...] = ("huggingface", "modelscope")
# The variables that are read, those of the hubs' own tools included.
VARIABLES = (
    "TUSOU_HUB",
    "TUSOU_MODELS",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "HF_HUB_OFFLINE",
    "MODELSCOPE_ENDPOINT",
    "MODELSCOPE_API_TOKEN",
)

_FOLDER = Path("~/.cache/tusou/models")
_YES = {"1", "on", "true", "yes"}


@dataclass(frozen=True, slots=True)
class HubSettings:
    """The settings of downloads."""

    hubs: Mapping[HubName, Hub]
    chosen: HubName | None
    folder: Path  # of the models of hubs
    published_folder: Path | None  # of the published models; None: cn_clip's own cache
    offline: bool

    @property
    def default(self) -> HubName:
        """The hub of models that name none."""
        return self.chosen or HUB_NAMES[0]

    def with_first(self, first: Hub) -> list[Hub]:
        """Return the hubs, the given one first."""
        return [first, *(hub for hub in self.hubs.values() if hub.name != first.name)]


def read_settings(environment: Mapping[str, str] = os.environ) -> HubSettings:
    """Read the settings; InvalidRequest for a hub that does not exist."""
    name = environment.get("TUSOU_HUB") or None
    if name not in {None, *HUB_NAMES}:
        raise InvalidRequest(f"TUSOU_HUB={name!r}: give {' or '.join(HUB_NAMES)}")
    folder = environment.get("TUSOU_MODELS")
    own = None if not folder else Path(folder).expanduser()
    return HubSettings(
        {
            "huggingface": huggingface.HuggingFace(
                _address(environment.get("HF_ENDPOINT"), huggingface.DEFAULT_ENDPOINT),
                environment.get("HF_TOKEN") or None,
            ),
            "modelscope": modelscope.ModelScope(
                _address(environment.get("MODELSCOPE_ENDPOINT"), modelscope.DEFAULT_ENDPOINT),
                environment.get("MODELSCOPE_API_TOKEN") or None,
            ),
        },
        name,
        own or _FOLDER.expanduser(),
        own,
        environment.get("HF_HUB_OFFLINE", "").lower() in _YES,
    )


def _address(value: str | None, default: str) -> str:
    address = (value or default).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise InvalidRequest(f"{address!r}: the address of a hub begins with https:// or http://")
    return address
