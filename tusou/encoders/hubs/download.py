"""Downloads of single files, resumed where they broke off and checked before they are renamed."""

import hashlib
import os
import re
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tusou.core.files import naming_file, sync
from tusou.encoders.hubs.base import HubError, HubFile, WebPageError
from tusou.encoders.hubs.connection import HubConnection
from tusou.encoders.hubs.progress import ByteProgress

if TYPE_CHECKING:
    import httpx

PART = ".part"  # at the end of the name of a file that is not complete

_CHUNK = 2**20
_PARTIAL = 206
_START = re.compile(r"bytes (\d+)-")


def part_of(target: Path) -> Path:
    """Return the path under which a file's bytes are kept until they are complete."""
    return target.with_name(f"{target.name}{PART}")


def download(
    connection: HubConnection, url: str, file: HubFile, target: Path, progress: ByteProgress
) -> None:
    """Write a file of a hub to `target`, which appears when all its bytes are there and right.

    What an earlier download has left is continued. Raises HubError, and OSError for the disk.
    The caller holds a lock: two downloads of a file would mix their bytes.
    """
    part = part_of(target)
    with _PartFile(part, file, progress) as arriving:
        _receive_all(connection, url, arriving, progress)
        if not arriving.is_right() and arriving.was_resumed:  # of another content, most likely
            arriving.restart()
            _receive_all(connection, url, arriving, progress)
        if not arriving.is_right():
            arriving.restart()
            raise HubError(
                f"what arrived as {file.name} does not have the digest that the hub lists"
            )
        arriving.flush()
    part.replace(target)
    sync(target.parent)


def _receive_all(
    connection: HubConnection, url: str, arriving: "_PartFile", progress: ByteProgress
) -> None:
    failures, patience = 0, connection.patience
    while not arriving.is_complete:
        before = arriving.size
        try:
            with connection.stream(url, before) as response:
                arriving.receive(response)
        except HubError as error:
            failures = failures + 1 if arriving.size <= before else 1
            wait = patience.after(failures, error, patience.attempts)
            progress.notice(f"{arriving.file.name}: {error}; again in {wait:g} s")
            time.sleep(wait)


class _PartFile:
    """The bytes of a file that are here, and their digest."""

    def __init__(self, path: Path, file: HubFile, progress: ByteProgress) -> None:
        self.file, self._path, self._progress = file, path, progress
        self._ended = False
        self.size = 0
        with naming_file(path):
            self._stream = path.open("a+b")
            self._digest = self._new_digest()
            self._stream.seek(0)
            while data := self._stream.read(_CHUNK):
                self._count(data)
        self.was_resumed = self.size > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stream.close()

    @property
    def is_complete(self) -> bool:
        """Return whether all bytes have arrived."""
        return self._ended if self.file.size is None else self.size >= self.file.size

    def receive(self, response: "httpx.Response") -> None:
        """Append the bytes of an answer, or begin again if it holds all of them."""
        match = _START.match(response.headers.get("Content-Range", ""))
        start = int(match[1]) if match and response.status_code == _PARTIAL else 0
        if start not in {0, self.size}:
            raise HubError("the answer begins at another byte than it was asked for")
        for number, data in enumerate(response.iter_bytes()):  # without a size: none is lost
            if number == 0 and start == 0:
                _refuse_page(self.file.name, data)
                self.restart()
            with naming_file(self._path):
                self._stream.write(data)
            self._count(data)
        if self.file.size is not None and self.size < self.file.size:
            raise HubError("the answer ended too early", may_pass=True)
        self._ended = True

    def restart(self) -> None:
        """Drop all bytes."""
        self._stream.truncate(0)
        self._progress.add(-self.size)
        self.size, self._ended, self._digest = 0, False, self._new_digest()

    def is_right(self) -> bool:
        """Return whether the bytes are those that the hub lists, as far as it says."""
        expected = self.file.sha256 or (self.file.git_sha1 if self._is_git else None)
        right_size = self.file.size in {None, self.size}
        return right_size and expected in {None, self._digest.hexdigest()}

    def flush(self) -> None:
        """Flush the bytes to the disk."""
        with naming_file(self._path):
            self._stream.flush()
            os.fsync(self._stream.fileno())

    def _count(self, data: bytes) -> None:
        self._digest.update(data)
        self.size += len(data)
        self._progress.add(len(data))

    @property
    def _is_git(self) -> bool:
        """Return whether git's digest is compared, which needs the size."""
        return self.file.sha256 is None and self.file.size is not None

    def _new_digest(self) -> "hashlib._Hash":
        if self._is_git:
            return hashlib.sha1(b"blob %d\0" % (self.file.size or 0), usedforsecurity=False)
        return hashlib.sha256()


def _refuse_page(name: str, beginning: bytes) -> None:
    """Raise WebPageError if bytes are of a web page, and the file is none."""
    text = beginning[:200].lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")) and not name.endswith((".md", ".html")):
        raise WebPageError
