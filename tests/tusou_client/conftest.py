"""A small HTTP service with the real contract that misbehaves on demand, over real sockets."""

import hashlib
import json
import socket
import struct
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tusou_client.replaying import COUNT, write_queries
from tests.tusou_client.sending import Send, send_async, send_blocking

Fault = Callable[["Handler"], None]


class Service:
    """The content of the service's replies, and the requests it received."""

    def __init__(self) -> None:
        self.version = "v1"
        self.student: str | None = None  # the digest of one that encodes queries
        self.pool = 1000
        self.faults: list[Fault] = []  # each spoils one POST, in order
        self.refuses: dict[str, str] = {}  # query -> problem code
        self.posts: list[tuple[str, dict[str, str], object]] = []  # path, headers, body
        self.on_post: Callable[[int], None] = lambda number: None
        self.query_counts: Counter[str] = Counter()
        self.lock = threading.Lock()

    def hits(self, query: str, top_k: int) -> dict[str, object]:
        origin = f"{self.version}{self.student or ''}"
        seed = int.from_bytes(hashlib.sha256(f"{origin}{query}".encode()).digest()[:4])
        count = min(top_k, self.pool)
        ids = [(seed + 7 * rank) % self.pool for rank in range(count)]
        return {
            "item_ids": ids,
            "scores": [0.9 - rank / 1000 for rank in range(count)],
            "truncated": len(query) > 50,
        }

    def vector(self, text: str) -> tuple[float, float]:
        return len(text) / 2, 0.25

    def respond(self, path: str, body: dict) -> tuple[int, dict[str, object]]:
        if path == "/admin/reload":
            return 200, {"status": "unchanged", "index_version": self.version}
        if path == "/v1/embeddings":
            encoded = [b64encode(struct.pack("<2f", *self.vector(x))) for x in body["input"]]
            rows = [{"index": n, "embedding": data.decode()} for n, data in enumerate(encoded)]
            return 200, {"data": rows, "model": f"model-{self.version}"}
        if path.startswith("/items/"):
            changed = {"item_id": 7, "status": "replaced", "etag": "e7"}
            answer = {"results": [changed]} if path == "/items/batch" else changed
            return 200, answer | {"index_version": f"{self.version}+1"}
        queries = body["queries"] if path == "/search/batch" else [body["query"]]
        self.query_counts.update(queries)
        if isinstance(body, dict) and body.get("partial"):
            results = [
                {
                    "problem": {
                        "code": self.refuses[query],
                        "detail": "Nothing is left.",
                        "status": 422,
                    }
                }
                if query in self.refuses
                else self.hits(query, body["top_k"])
                for query in queries
            ]
            return 200, {"results": results, "index_version": self.version}
        if bad := [self.refuses[query] for query in queries if query in self.refuses]:
            return 422, {"code": bad[0], "detail": "Nothing is left.", "status": 422}
        results = [self.hits(query, body["top_k"]) for query in queries]
        tail = {"index_version": self.version, "took_ms": 1.0}
        return 200, ({"results": results} if path == "/search/batch" else results[0]) | tail

    def page(self, path: str) -> bytes:
        if path == "/metrics":
            return b"tusou_requests_total 3\n"
        if path.endswith("/image"):
            return b"image of " + path.encode()
        if path == "/v1/models":
            return b'{"object": "list", "data": [{"id": "ViT-B-16", "object": "model"}]}'
        if path.startswith("/items/"):
            return json.dumps({"item_id": 7, "image": f"{path}/image"}).encode()
        student = None if self.student is None else {"sha256": self.student}
        return json.dumps({"index_version": self.version, "query_encoder": student}).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.reply(200, self.server.service.page(self.path))

    def do_POST(self) -> None:
        service = self.server.service
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        with service.lock:
            service.posts.append((self.path, dict(self.headers), body))
            number = len(service.posts)
            fault = service.faults.pop(0) if service.faults else None
        service.on_post(number)
        if fault is not None:
            fault(self)
            return
        status, answer = service.respond(self.path, body)
        media_type = "application/json" if status == 200 else "application/problem+json"
        self.reply(status, json.dumps(answer).encode(), {"Content-Type": media_type})

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 (names of http.server)

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: Service, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.service = service
        self.stopping = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *args: object) -> None: ...

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()


class Faults:
    """Ways to spoil the reply to one request."""

    @staticmethod
    def reset(handler: Handler) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        handler.close_connection = True
        handler.connection.close()

    @staticmethod
    def stall(handler: Handler) -> None:
        handler.close_connection = True
        handler.server.stopping.wait(5)

    @staticmethod
    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not handler.server.stopping.wait(0.02):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    @staticmethod
    def cut_short(handler: Handler) -> None:
        handler.reply(200, b'{"item_ids": [1,', {"Content-Length": "400"})
        handler.close_connection = True

    @staticmethod
    def bad_gzip(handler: Handler) -> None:
        handler.reply(200, b"not gzip", {"Content-Encoding": "gzip"})

    @staticmethod
    def reply(status: int, body: bytes, **headers: str) -> Fault:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda handler: handler.reply(status, body, named)

    @classmethod
    def problem(cls, status: int, code: str, **more: object) -> Fault:
        body = {"status": status, "code": code, "detail": "Said so.", **more}
        return cls.reply(status, json.dumps(body).encode())


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def server(service: Service) -> Iterator[Server]:
    running = Server(service)
    yield running
    running.stop()


@pytest.fixture
def restart(service: Service) -> Iterator[Callable[[int], Server]]:
    """Return a function that starts the same service again on a given port."""
    started: list[Server] = []

    def start(port: int) -> Server:
        started.append(Server(service, port))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def faults() -> type[Faults]:
    return Faults


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    return write_queries(tmp_path / "queries.jsonl", COUNT)


@pytest.fixture(params=[send_blocking, send_async])
def send(request: pytest.FixtureRequest) -> Send:
    return request.param
