"""A server of chat completions that answers as a test says, on a port of its own."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """A reply: a completion of a text, or a status with another body."""

    text: str | None = ""
    status: int = 200
    body: bytes | None = None  # instead of a completion
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None  # it is sent once this is set
    drip: threading.Event | None = None  # it is sent byte by byte until this is set, then ends


@dataclass
class Received:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def images(self) -> list[str]:
        """The data URIs of the candidates, in the order of their numbers."""
        return [
            part["image_url"]["url"]
            for part in self.body["messages"][-1]["content"]
            if part["type"] == "image_url"
        ]

    @property
    def text(self) -> str:
        """The text of the user's message."""
        parts = self.body["messages"][-1]["content"]
        return "\n".join(part["text"] for part in parts if part["type"] == "text")


@dataclass
class ChatServer:
    """The server's address, what it received, and how it answers, which a test may change."""

    url: str
    answer: Callable[[Received], Reply]
    received: list[Received] = field(default_factory=list)

    def grade(self, grades: Mapping[str, float]) -> None:
        """Answer with the grades of images by their data URI."""

        def answer(request: Received) -> Reply:
            return Reply(listed([grades[image] for image in request.images]))

        self.answer = answer


def listed(grades: Sequence[object]) -> str:
    """Return a well-formed answer to a listwise question."""
    rows = [{"number": number, "grade": grade} for number, grade in enumerate(grades, 1)]
    return json.dumps({"grades": rows})


@contextmanager
def running_chat_server() -> Iterator[ChatServer]:
    """Run a server until the block ends; open requests are dropped."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with suppress(OSError):  # the client has gone
                super().handle()

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            request = Received(self.path, dict(self.headers), json.loads(data))
            chat.received.append(request)
            self._send(chat.answer(request))

        def _send(self, reply: Reply) -> None:
            body = reply.body
            if body is None:
                message = {"role": "assistant", "content": reply.text}
                body = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
            if reply.wait is not None:
                reply.wait.wait(30)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                while reply.drip is not None and not reply.drip.wait(0.01):
                    self.wfile.write(b" ")
                self.wfile.write(body)
            except OSError:  # the client has gone
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    chat = ChatServer(f"http://127.0.0.1:{server.server_port}/v1", lambda _: Reply())
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
