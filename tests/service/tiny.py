"""A small engine that keeps every promise of the real one, and a real server around it."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi.testclient import TestClient
from pydantic import BaseModel

from service.app import create_app
from service.engine import Engine, Pipeline
from service.keys import ApiKeys
from service.protocol import protocol_with
from service.server import Server
from service.settings import Settings
from tusou.errors import UnknownItem
from tusou.search import Answers, Hits, StageTimes

POOL = 50
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)


class TinyManifest(BaseModel):
    made_by: str = "hand"
    files: dict[str, str] = {}


@dataclass
class TinyBundle:
    version: str
    item_count: int = POOL
    manifest: BaseModel = field(default_factory=TinyManifest)

    def picture(self, item_id: str) -> tuple[bytes, str]:
        if item_id != "7":
            raise UnknownItem("no such item")
        return PNG, "image/png"


@dataclass
class TinyPipeline:
    """Finds items 0, 1, 2... with scores that fall by 1/64; a version's ids start elsewhere."""

    bundle: TinyBundle
    first_id: int = 0
    gate: threading.Event | None = None  # a batch waits for it
    started: threading.Event = field(default_factory=threading.Event)
    batches: list[list[str]] = field(default_factory=list)
    error: Exception | None = None
    warm: bool = False
    precision: str = "fp32"

    def search(self, queries: Sequence[str], top_k: Sequence[int]) -> Answers:
        self.batches.append(list(queries))
        self.started.set()
        if self.gate:
            assert self.gate.wait(20)
        if self.error:
            raise self.error
        hits = tuple(
            Hits(
                tuple(range(self.first_id, self.first_id + min(k, POOL))),
                tuple(1 - i / 64 for i in range(min(k, POOL))),
                truncated=len(query) > 48,
            )
            for query, k in zip(queries, top_k, strict=True)
        )
        return Answers(hits, StageTimes(0.001, 0.002, 0.003))

    def warm_up(self) -> None:
        self.warm = True

    @property
    def asked(self) -> list[str]:
        return [query for batch in self.batches for query in batch]


@dataclass
class TinySource:
    """Opens the pipeline a test has put here, or raises what it has put here."""

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
    source: TinySource, keys: ApiKeys | None = None, **settings: object
) -> Iterator[TestClient]:
    """Talk to the application in this process, once it is ready."""
    config = Settings(**settings)  # type: ignore[arg-type]
    engine = Engine(source, config.batching())
    app = create_app(lambda: engine, config.requests(), keys=keys, docs=config.docs)
    with TestClient(app) as client:
        assert client.portal
        client.portal.call(engine.loaded)
        yield client


@dataclass
class Running:
    """A real server in this event loop."""

    port: int
    engine: Engine
    server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def running(source: TinySource, **settings: object) -> AsyncIterator[Running]:
    """Serve on a free port, with the protocol and the server class of production."""
    config = Settings(drain_s=0, **settings)  # type: ignore[arg-type]
    engine = Engine(source, config.batching())
    app = create_app(lambda: engine, config.requests(), docs=config.docs)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(
        uvicorn.Config(
            app,
            http=protocol_with(config.connections()),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_keep_alive=config.keep_alive_s,
            timeout_graceful_shutdown=2,
        ),
        engine,
        config.drain_s,
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn offers a flag, no event
        await asyncio.sleep(0.005)
    await engine.loaded()
    try:
        yield Running(listener.getsockname()[1], engine, server)
    finally:
        server.should_exit = True
        await serving
