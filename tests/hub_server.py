"""A server on this machine that speaks the download protocols of both hubs, with faults."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LOGIN_PAGE = b"<!DOCTYPE html>\n<html><title>Network login</title></html>"
_LARGE = (".bin", ".pt", ".safetensors", ".model")  # kept by git-lfs, and served by another host
_LOST = (BrokenPipeError, ConnectionResetError)


@dataclass
class Repository:
    """The commits of a model, the newest first, each with its files."""

    commits: dict[str, dict[str, bytes]]

    def find(self, revision: str) -> str | None:
        """Return the commit of a branch or of itself."""
        if revision in {"main", "master"}:
            return next(iter(self.commits))
        return revision if revision in self.commits else None


@dataclass(frozen=True)
class Fault:
    """A fault of one request for a file's bytes, in place of an answer."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    break_after: int | None = None  # bytes of the answer, after which the connection is closed
    stall_after: int | None = None  # bytes of the answer, after which nothing comes
    pause: float = 0.0  # seconds after each 64 KiB
    change: Callable[[bytes], bytes] = bytes  # of the file
    ignores_range: bool = False


class HubServer:
    """A hub with its storage host; `requests` are the paths, with the range and the credentials."""

    def __init__(self, repositories: dict[str, Repository]) -> None:
        self.repositories = repositories
        self.faults: list[Fault] = []  # of the next requests for bytes, in order
        self.list_faults: list[Fault] = []  # of the next requests for a list
        self.requests: list[tuple[str, str | None, str | None]] = []
        self.token: str | None = None  # that private models need
        self.stopped = threading.Event()
        self._hub = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._storage = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._hub.server_port}"

    @property
    def storage_url(self) -> str:
        return f"http://127.0.0.1:{self._storage.server_port}"

    def paths(self, part: str) -> list[str]:
        """Return the requested paths that contain a text."""
        return [path for path, _, _ in self.requests if part in path]

    @contextmanager
    def running(self) -> Iterator["HubServer"]:
        servers = self._hub, self._storage
        threads = [threading.Thread(target=each.serve_forever, args=(0.05,)) for each in servers]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.stopped.set()
            for server in servers:
                server.shutdown()
                server.server_close()
            for thread in threads:
                thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(_Handler):
            server_hub = hub

        return Handler


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, url = self.server_hub, urlsplit(self.path)
        credentials = self.headers.get("Authorization") or self.headers.get("Cookie")
        hub.requests.append((self.path, self.headers.get("Range"), credentials))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with suppress(*_LOST):
            self._answer(unquote(url.path), query, credentials)

    def _answer(self, path: str, query: dict[str, str], credentials: str | None) -> None:
        is_storage = path.startswith("/storage/")
        if not is_storage and (self.server_hub.token or "") not in (credentials or ""):
            self._send_json({"error": "Invalid username or password."}, 401)
            return
        model = r"([^/]+/[^/]+)"
        routes: dict[str, Callable[..., None]] = {
            rf"/storage/{model}/(\w+)/(.+)": self._send_file,
            rf"/api/models/{model}/revision/(.+)": partial(self._list, self._huggingface_list),
            rf"/{model}/resolve/([^/]+)/(.+)": self._resolve,
            rf"/api/v1/models/{model}/commits": partial(self._list, self._commits),
            rf"/api/v1/models/{model}/repo/files": partial(self._list, self._modelscope_list),
            rf"/api/v1/models/{model}/repo": self._resolve,
        }
        named = [query[name] for name in ("Ref", "Revision", "FilePath") if name in query]
        for pattern, answer in routes.items():
            if match := re.fullmatch(pattern, path):
                answer(*match.groups(), *named)
                return
        self._send_json({}, 404)

    def _list(
        self, describe: Callable[[str, str, dict[str, bytes]], Any], model_id: str, revision: str
    ) -> None:
        if self.server_hub.list_faults:
            self._send_fault(self.server_hub.list_faults.pop(0))
            return
        repository = self.server_hub.repositories.get(model_id)
        commit = repository and repository.find(revision)
        if repository is None or commit is None:
            self._send_json({"error": "Not Found", "Code": 10010205001}, 404)
            return
        self._send_json(describe(model_id, commit, repository.commits[commit]))

    def _huggingface_list(self, model_id: str, commit: str, files: dict[str, bytes]) -> Any:
        siblings = []
        for name, data in files.items():
            sibling: dict[str, Any] = {"rfilename": name, "size": len(data)}
            sibling["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if name.endswith(_LARGE):
                sha256 = hashlib.sha256(data).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
            siblings.append(sibling)
        return {"id": model_id, "sha": commit, "siblings": siblings}

    def _commits(self, _model: str, commit: str, _: dict[str, bytes]) -> Any:
        described = {"Id": commit, "ShortId": commit[:8], "Title": "upload"}
        return {"Code": 200, "Success": True, "Data": {"Commit": [described]}, "TotalCount": 1}

    def _modelscope_list(self, _model: str, commit: str, files: dict[str, bytes]) -> Any:
        query = parse_qs(urlsplit(self.path).query)
        is_recursive = query.get("Recursive") == ["True"]
        blobs = [
            {
                "Name": name,
                "Path": name,
                "Type": "blob",
                "Size": len(data),
                "Sha256": hashlib.sha256(data).hexdigest(),
                "Revision": commit,
            }
            for name, data in files.items()
            if is_recursive or "/" not in name
        ]
        tree = {"Name": "assets", "Path": "assets", "Type": "tree", "Size": 0, "Sha256": ""}
        return {"Code": 200, "Success": True, "Data": {"Files": [*blobs, tree]}}

    def _resolve(self, model_id: str, revision: str, name: str) -> None:
        repository = self.server_hub.repositories.get(model_id)
        commit = repository and repository.find(revision)
        if repository is None or commit is None or name not in repository.commits[commit]:
            self._send_json({"error": "Entry not found"}, 404)
            return
        data = repository.commits[commit][name]
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if name.endswith(_LARGE):
            headers["X-Linked-Size"] = str(len(data))
            headers["X-Linked-Etag"] = f'"{hashlib.sha256(data).hexdigest()}"'
            address = f"{self.server_hub.storage_url}/storage/{model_id}/{commit}/{name}"
            self._send(302, b"", {**headers, "Location": address})
            return
        headers["ETag"] = f'"{hashlib.sha1(b"blob %d" % len(data) + data).hexdigest()}"'
        self._send_file(model_id, commit, name, headers)

    def _send_file(
        self, model_id: str, commit: str, name: str, headers: dict[str, str] | None = None
    ) -> None:
        data = self.server_hub.repositories[model_id].commits[commit][name]
        counts = self.command == "GET" and self.server_hub.faults
        fault = self.server_hub.faults.pop(0) if counts else Fault()
        if fault.status is not None:
            self._send_fault(fault)
            return
        data, start, status = fault.change(data), 0, 200
        headers = dict(headers or {})
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match and not fault.ignores_range:
            start, status = int(match[1]), 206
            if start >= len(data):
                self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(status, data[start:], headers, fault)

    def _send_fault(self, fault: Fault) -> None:
        self._send(fault.status or 200, fault.body, fault.headers)

    def _send_json(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self._send(status, body, {"Content-Type": "application/json"})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], fault: Fault | None = None
    ) -> None:
        fault = fault or Fault()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(body), 2**16):
            data = body[start : start + 2**16]
            for limit in (fault.break_after, fault.stall_after):
                if limit is not None and start + len(data) > limit:
                    self.wfile.write(data[: limit - start])
                    self.wfile.flush()
                    if limit == fault.stall_after:
                        self.server_hub.stopped.wait(10)
                    self.close_connection = True
                    return
            self.wfile.write(data)
            time.sleep(fault.pause)
