"""A small pipeline for the real engine, and a real server around it."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import uvicorn
from fastapi.testclient import TestClient
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.interfaces import Pipeline, PipelineSource
from tusou_service.experiment.ab_test import Experiment, ExperimentPlan
from tusou_service.http.app import create_app
from tusou_service.http.auth import ApiKeys
from tusou_service.http.timeouts import make_protocol_class
from tusou_service.observability.tracing import SpanTracer
from tusou_service.server import Server, ServiceParts
from tusou_service.settings import Settings

from tusou.attributes.table import AttributeTable
from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import Manifest
from tusou.bundle.model_record import ModelMember
from tusou.bundle.pool_sample import PoolSample
from tusou.core.arrays import Pixels
from tusou.core.errors import DeadlineExceeded, TusouError, UnknownItem
from tusou.core.hits import Hits
from tusou.core.ids import ItemKind
from tusou.encoders.student.folder import Student
from tusou.images.transform import ImageTransform
from tusou.live.live_items import LiveItems
from tusou.retrieval.item_view import VersionView
from tusou.retrieval.query import ItemPart, Query, VectorPart
from tusou.retrieval.results import RetrievedBatch, TextEmbeddings
from tusou.text.foreign import foreign_share

POOL = 50
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)


class TinyBundle(Bundle):
    """A bundle without files."""

    item_count: int = POOL
    model_name: str = "tiny"
    models: tuple[ModelMember, ...] = ()
    dim: int = 3
    id_type: Literal["int", "str"] = "int"
    items: ItemKind = "images"
    attributes: AttributeTable | None = None

    def __init__(self, version: str) -> None:
        manifest = Manifest.model_construct(build={"made_by": "hand"})
        super().__init__(Path("/nowhere", version), manifest)
        self.sample = PoolSample((9, 7), 0.25, 0.5)
        self.ids = SimpleNamespace(at=int, key=int)
        self.vector_file = SimpleNamespace(
            rows=lambda keys: np.eye(3, dtype=np.float32)[: len(keys)]
        )
        self.spans = np.tile([0, 0, 24, 5], (POOL, 1))

    def key(self, item_id: str) -> int:
        return int(item_id)

    def image(self, item_id: str) -> tuple[bytes, str]:
        if item_id != "7":
            raise UnknownItem("no such item")
        return PNG, "image/png"

    def text(self, item_id: str) -> str | None:
        if item_id != "7":
            raise UnknownItem("no such item")
        return None if self.items == "images" else "红色碎花裙"


@dataclass
class TinyPipeline:
    """Finds items first_id, first_id + 1, ... with scores that fall by 1/64."""

    bundle: TinyBundle
    first_id: int = 0
    gate: threading.Event | None = None  # a batch waits for it
    started: threading.Event = field(default_factory=threading.Event)
    batches: list[list[str]] = field(default_factory=list)
    error: Exception | None = None
    warm: bool = False
    device: str = "cpu"
    precision: str = "fp32"
    backend: str = "torch"
    student: Student | None = None
    student_warning: str | None = None
    encoder_name: str = "tiny"
    image_tower_loaded: bool = False
    transform: ImageTransform = field(default=ImageTransform(8))
    tower: threading.Event | None = None  # the image tower's loading waits for it
    tower_error: Exception | None = None
    queries_received: list[Query] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)  # images in each pass
    searched: list[str] = field(default_factory=list)  # queries that a caller still waited for
    capacity: int | None = None  # queries that fit the memory at once
    released: int = 0
    text_seconds: float = 0.0  # the time that encoding a text takes

    @property
    def view(self) -> VersionView:
        return VersionView(self.bundle)

    def attach_live(self, live: LiveItems) -> None:
        raise AssertionError("the small pipeline has no live changes")

    def encode_items(self, texts: Sequence[str]) -> TextEmbeddings:
        return self.encode_texts(texts)

    def load_image_tower(self) -> None:
        if self.tower:
            assert self.tower.wait(20)
        if self.tower_error:
            raise self.tower_error
        self.image_tower_loaded = True

    def encode_images(self, pixels: Pixels) -> list[VectorPart]:
        """Make a vector of each image's mean colour."""
        self.seen.append(len(pixels))
        return [VectorPart(image.mean((0, 1)).astype(np.float32) / 255, "tiny") for image in pixels]

    def encode_texts(self, texts: Sequence[str]) -> TextEmbeddings:
        time.sleep(self.text_seconds * len(texts))
        vectors = np.tile(np.array([0.6, 0.8, 0], np.float32), (len(texts), 1))
        return TextEmbeddings(vectors, tuple(len(text) + 2 for text in texts), self.bundle.version)

    def retrieve(
        self, queries: Sequence[Query], still_waiting: Callable[[int], bool]
    ) -> RetrievedBatch:
        self.queries_received.extend(queries)
        self.batches.append([" ".join(query.texts) for query in queries])
        self.started.set()
        if self.gate:
            assert self.gate.wait(20)
        if self.error:
            raise self.error
        if self.capacity is not None and len(queries) > self.capacity:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        hits: list[Hits | TusouError] = []
        for position, query in enumerate(queries):
            if still_waiting(position):
                self.searched.append(" ".join(query.texts))
                hits.append(self._hits(query))
            else:
                hits.append(DeadlineExceeded("no caller waits"))
        times = {"tokenise": 0.001, "encode": 0.002, "search": 0.003}
        return RetrievedBatch(tuple(hits), times)

    def _hits(self, query: Query) -> Hits | TusouError:
        known = range(self.first_id, self.first_id + POOL)
        items = [int(part.item_id) for part in query.parts if isinstance(part, ItemPart)]
        if any(item not in known for item in items):
            return UnknownItem("no such item")
        left = [item for item in known if str(item) not in query.excluded_ids]
        ids = tuple(left[query.offset : query.offset + query.top_k])
        scores = tuple(1 - (item - self.first_id) / 64 for item in ids)
        truncated = any(len(text) > 48 for text in query.texts)
        share = max(map(foreign_share, query.texts), default=0.0)
        return Hits(ids, scores, truncated, self.bundle.version, unknown_share=share)

    index_server = None  # this process searches
    measured = ()
    changeable_index = None

    def release_memory(self) -> None:
        self.released += 1

    def warm_up(self) -> None:
        self.warm = True

    @property
    def texts_received(self) -> list[str]:
        return [query for batch in self.batches for query in batch]


@dataclass
class TinySource:
    """Opens the pipeline, or raises the error, that a test sets."""

    pipeline: TinyPipeline
    error: Exception | None = None
    gate: threading.Event | None = None
    opened: int = 0

    def current_version(self) -> str:
        return self.pipeline.bundle.version

    def open(self) -> Pipeline:
        self.opened += 1
        if self.gate:
            assert self.gate.wait(20)
        if self.error:
            raise self.error
        return self.pipeline


@contextmanager
def connected(
    source: PipelineSource,
    keys: ApiKeys | None = None,
    other: PipelineSource | None = None,
    **settings: object,
) -> Iterator[TestClient]:
    """Return a client of the application in this process, once it is ready."""
    config = Settings(**{"target_ms": 30_000, **settings})  # type: ignore[arg-type]
    parts = make_parts(config, source, other, keys=keys)
    app = create_app(
        lambda: parts.running(config.follow_s),
        config,
        keys=keys,
        experiment=parts.experiment,
    )
    with TestClient(app) as client:
        assert client.portal
        client.portal.call(parts.engine.versions.loaded)
        if parts.experiment:
            client.portal.call(parts.experiment.engines[1].versions.loaded)
        yield client


def make_parts(
    settings: Settings,
    source: PipelineSource,
    other: PipelineSource | None = None,
    keys: ApiKeys | None = None,
    tracer: SpanTracer | None = None,
) -> ServiceParts:
    """Build an engine, and a second one beside it if there is another source, as `factory` does."""
    first = SearchEngine(source, settings.batching(), settings.image_queries)
    if other is None:
        return ServiceParts(first, keys, tracer)
    second = SearchEngine(other, settings.batching(), settings.image_queries, first)
    plan = ExperimentPlan(settings.ab_mode, settings.ab_share, settings.ab_name or "")
    return ServiceParts(first, keys, tracer, Experiment(first, second, plan))


@dataclass
class Running:
    """A real server in this event loop."""

    port: int
    engine: SearchEngine
    server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def running(
    source: PipelineSource,
    tracer: SpanTracer | None = None,
    other: PipelineSource | None = None,
    while_loading: Callable[["Running"], Awaitable[None]] | None = None,
    **settings: object,
) -> AsyncIterator[Running]:
    """Serve on a free port, with the protocol and the server class of production."""
    config = Settings(**{"drain_s": 0, "target_ms": 30_000, **settings})  # type: ignore[arg-type]
    parts = make_parts(config, source, other, tracer=tracer)
    app = create_app(
        lambda: parts.running(config.follow_s),
        config,
        tracer=tracer,
        experiment=parts.experiment,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(
        uvicorn.Config(
            app,
            http=make_protocol_class(config),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_keep_alive=config.keep_alive_s,
            timeout_graceful_shutdown=2,
        ),
        parts,
        config.drain_s,
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn offers a flag, no event
        await asyncio.sleep(0.005)
    await parts.engine.versions.loaded()
    here = Running(listener.getsockname()[1], parts.engine, server)
    if while_loading:
        await while_loading(here)
    if parts.experiment:
        await parts.experiment.engines[1].versions.loaded()
    try:
        yield here
    finally:
        server.should_exit = True
        await serving
