"""What stands in a front for an engine that runs in the parent process."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel

from tusou.core.arrays import ItemId
from tusou.retrieval.query import Query, VectorPart
from tusou_service.engine.batch_runner import Found, TextVector
from tusou_service.engine.interfaces import Arm, Arms, Reloaded, SearchEngine, Status
from tusou_service.engine.micro_batcher import QueueState
from tusou_service.experiment.ab_test import ExperimentPlan
from tusou_service.fronts.line import Answerer, Line
from tusou_service.http.rate_limit import Rate
from tusou_service.observability.traffic import Traffic

_ENGINE_CALLS = ("search", "embed", "see", "image", "item", "status", "manifest", "reload")
_RATE = "rate"


class RemoteEngine:
    """Passes every call on to one engine of the parent.

    `admit` says what the parent last told of its queue, a moment ago; the engine itself has the
    last word.
    """

    def __init__(self, line: Line, arm: Arm, traffic: Traffic) -> None:
        self.arm, self.traffic = arm, traffic
        self.pressure = QueueState()
        self._line = line

    def admit(self, deadline: float) -> None:
        """Raise what the queue of a moment ago would raise."""
        self.pressure.admit(deadline)

    async def search(self, asks: Sequence[Query], deadline: float) -> list[Found]:
        """Answer in order, all from one version; the first error of one ask is the error of all."""
        found: list[Found] = await self._call("search", asks, deadline)
        return found

    async def embed(self, texts: Sequence[str], deadline: float) -> list[TextVector]:
        """Encode normalised texts in order, all by one version's model."""
        vectors: list[TextVector] = await self._call("embed", texts, deadline)
        return vectors

    async def see(self, image: bytes | str, deadline: float) -> VectorPart:
        """Encode an image, given as its bytes or in base64; BadImage, or Unavailable."""
        part: VectorPart = await self._call("see", image, deadline)
        return part

    async def image(self, item_id: str) -> tuple[bytes, str]:
        """Return an image's bytes and content type; UnknownItem."""
        image: tuple[bytes, str] = await self._call("image", item_id)
        return image

    async def item(self, item_id: str) -> tuple[ItemId, str | None]:
        """Return an item's id and its text, or None where items are images; UnknownItem."""
        item: tuple[ItemId, str | None] = await self._call("item", item_id)
        return item

    async def status(self) -> Status:
        """Say what is served; NotReady before there is anything."""
        status: Status = await self._call("status")
        return status

    async def manifest(self) -> BaseModel:
        """Say how what is served was made; NotReady likewise."""
        manifest: BaseModel = await self._call("manifest")
        return manifest

    async def reload(self) -> Reloaded:
        """Swap to the current version; on any error the old one keeps serving."""
        reloaded: Reloaded = await self._call("reload")
        return reloaded

    async def expose(self) -> bytes:
        """Return what the whole service counts, in Prometheus's text format."""
        exposed: bytes = await self._line.call("expose")
        return exposed

    async def _call(self, name: str, *arguments: object) -> Any:
        return await self._line.call(f"{self.arm}.{name}", *arguments)


class RemoteExperiment:
    """Chooses between the parent's two engines; everything else the parent does."""

    def __init__(
        self, line: Line, plan: ExperimentPlan, engines: Mapping[Arm, RemoteEngine]
    ) -> None:
        self._line, self._plan, self._engines = line, plan, engines

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def engine_for(self, headers: Mapping[str, str]) -> RemoteEngine:
        """Choose the engine of a request."""
        return self._engines[self._plan.arm_of(headers)]

    async def is_ready(self) -> bool:
        """Tell whether every arm that answers is ready."""
        ready: bool = await self._line.call("trial.is_ready")
        return ready

    async def reload(self) -> tuple[Reloaded, Reloaded | None]:
        """Swap both to their current versions, or neither; in the shadow, each for itself."""
        both: tuple[Reloaded, Reloaded | None] = await self._line.call("trial.reload")
        return both


class RemoteRate:
    """Has the parent count a client's requests, whichever front they come to."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def admit(self, client: str) -> None:
        """Count one request of this client, or raise RateLimitExceeded."""
        await self._line.call(_RATE, client)


def answerers(
    engines: Sequence[SearchEngine], trial: Arms | None, rate: Rate | None
) -> dict[str, Answerer]:
    """Return what the parent answers to these stand-ins, by the names that they call."""
    known = {
        f"{engine.arm}.{name}": getattr(engine, name)
        for engine in engines
        for name in _ENGINE_CALLS
    }
    if trial:
        known |= {"trial.is_ready": trial.is_ready, "trial.reload": trial.reload}
    if rate:
        known[_RATE] = rate.admit
    return known
