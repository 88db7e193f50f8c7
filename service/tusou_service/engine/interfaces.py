"""What routes and front door ask of an engine, in this process or in another one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self, TypeAlias

from pydantic import BaseModel

from tusou.core.arrays import ItemId
from tusou.core.ids import ItemKind
from tusou.retrieval.query import Query, VectorPart
from tusou_service.engine.batch_runner import Found, TextVector
from tusou_service.images.query_encoder import ImageState
from tusou_service.observability.traffic import Traffic

Arm: TypeAlias = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did."""

    version: str
    previous: str

    @property
    def changed(self) -> bool:
        """Tell a swap from a bundle that was current already."""
        return self.version != self.previous


@dataclass(frozen=True, slots=True)
class Status:
    """What is served at one moment, and whether traffic should come."""

    ready: bool
    version: str
    item_count: int
    model_name: str
    precision: str
    backend: str
    id_type: Literal["int", "str"]
    items: ItemKind
    images: ImageState
    accepts: tuple[str, ...]  # what a query may hold


class SearchEngine(Protocol):
    """Answers queries: `Engine`, or in a front `RemoteEngine`.

    Deadlines are on the event loop's clock, which is one for all processes of a machine.
    """

    @property
    def arm(self) -> Arm:
        """Tell the first of two bundles from the second."""
        ...

    @property
    def traffic(self) -> Traffic:
        """Where requests are counted."""
        ...

    def admit(self, deadline: float) -> None:
        """Raise what one more search would raise now, before anything is read or parsed."""
        ...

    async def search(self, asks: Sequence[Query], deadline: float) -> list[Found]:
        """Answer in order, all from one version; the first error of one ask is the error of all."""
        ...

    async def embed(self, texts: Sequence[str], deadline: float) -> list[TextVector]:
        """Encode normalised texts in order, all by one version's model."""
        ...

    async def see(self, image: bytes | str, deadline: float) -> VectorPart:
        """Encode an image, given as its bytes or in base64; BadImage, or Unavailable."""
        ...

    async def image(self, item_id: str) -> tuple[bytes, str]:
        """Return an image's bytes and content type; UnknownItem."""
        ...

    async def item(self, item_id: str) -> tuple[ItemId, str | None]:
        """Return an item's id and its text, or None where items are images; UnknownItem."""
        ...

    async def status(self) -> Status:
        """Say what is served; NotReady before there is anything."""
        ...

    async def manifest(self) -> BaseModel:
        """Say how what is served was made; NotReady likewise."""
        ...

    async def reload(self) -> Reloaded:
        """Swap to the current version; on any error the old one keeps serving."""
        ...

    async def expose(self) -> bytes:
        """Return what the whole service counts, in Prometheus's text format."""
        ...


class Arms(Protocol):
    """Two bundles behind one service: `Experiment`, or its stand-in in a front."""

    async def __aenter__(self) -> Self:
        """Begin."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """End."""
        ...

    def engine_for(self, headers: Mapping[str, str]) -> SearchEngine:
        """Choose the engine of a request."""
        ...

    async def is_ready(self) -> bool:
        """Tell whether every arm that answers is ready."""
        ...

    async def reload(self) -> tuple[Reloaded, Reloaded | None]:
        """Swap both to their current versions, or neither; in the shadow, each for itself.

        The second is None when it could not be loaded and nobody depends on it.
        """
        ...
