"""The address of an endpoint, its model, and the form of the questions to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast, get_args
from urllib.parse import urlsplit

from tusou.bundle.stages import RerankRecord
from tusou.core.errors import CorruptBundle, InvalidRequest
from tusou.stages.endpoint_prompt import RerankMode

IMAGE_SIDE, GROUP_SIZE, CONNECTIONS = 448, 10, 8
_SEPARATOR = "\n"  # of attribute names, which have no control characters
_MAX_COUNT = 10_000


@dataclass(frozen=True, slots=True)
class EndpointAccess:
    """The address and the key of an endpoint, as a process is told them."""

    url: str | None = None  # instead of the bundle's
    key_file: Path | None = None  # its first line is sent as a bearer token
    cache_folder: Path | None = None  # grades are kept in a file there


BUNDLE_ENDPOINT = EndpointAccess()


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """An endpoint with the interface of OpenAI's chat completions, and how it is asked."""

    url: str  # such as http://127.0.0.1:8001/v1
    model: str
    mode: RerankMode = "listwise"
    group_size: int = GROUP_SIZE  # candidates of one listwise question
    image_side: int = IMAGE_SIDE  # pixels of the longer side
    fields: tuple[str, ...] = ()  # attributes that the model is shown
    connections: int = CONNECTIONS  # questions that are asked at once

    def __post_init__(self) -> None:
        check_url(self.url)

    @property
    def options(self) -> dict[str, str | int | float]:
        """The options of a record, all beside the model's name."""
        return {
            "url": self.url,
            "mode": self.mode,
            "group_size": self.group_size,
            "image_side": self.image_side,
            "fields": _SEPARATOR.join(self.fields),
            "connections": self.connections,
        }

    @classmethod
    def of_record(cls, record: RerankRecord, access: EndpointAccess) -> Self:
        """Read a record; CorruptBundle, and InvalidRequest for an address of `access`."""
        options = record.options
        fields = str(options.get("fields", ""))
        try:
            return cls(
                url=access.url or str(options["url"]),
                model=record.model,
                mode=_mode(options["mode"]),
                group_size=_count(options["group_size"]),
                image_side=_count(options["image_side"]),
                fields=tuple(fields.split(_SEPARATOR)) if fields else (),
                connections=_count(options["connections"]),
            )
        except (KeyError, ValueError):
            raise CorruptBundle("the manifest has a wrong value at stages.rerank") from None


def _mode(value: object) -> RerankMode:
    if value not in get_args(RerankMode):
        raise ValueError("unknown mode")
    return cast("RerankMode", value)


def _count(value: object) -> int:
    if not isinstance(value, int) or not 1 <= value <= _MAX_COUNT:
        raise ValueError("not a count")
    return value


def check_url(url: str) -> None:
    """Raise InvalidRequest unless this is the address of an endpoint, without any secret.

    The address stands in manifests and logs, so it may hold no user, password or query.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise InvalidRequest("the address of an endpoint is written like http://127.0.0.1:8001/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidRequest(
            "the address of an endpoint has no user, password or query: everybody who has the "
            "bundle can read it. Put the key into a file and name it with "
            "TUSOU_RERANK_KEY_FILE"
        )
