"""The record of what `tusou watch` has sent, in a file in the watched folder."""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import starmap
from pathlib import Path
from typing import Self

from tusou.core.errors import InputError, Locked
from tusou.core.files import naming_file, write_file
from tusou.core.hits import Attributes

STATE_NAME = ".tusou-watch.jsonl"  # hidden files are not indexed


@dataclass(frozen=True, slots=True)
class SentItem:
    """An image as it was last sent, and what became of it."""

    name: str  # of the file, below the folder
    size: int
    mtime_ns: int
    sha256: str
    attributes: Attributes
    is_there: bool  # the service has an item of this id that came from here
    refusal: str | None = None  # why the service did not take this content or these attributes


class WatchState:
    """Items by id. Each change is on the disk when `save` or `forget` returns.

    The first line names the service; the last line of an item counts, and a line that a crash has
    cut is left out. One process at a time has the state open.
    """

    def __init__(self, folder: Path, url: str) -> None:
        """Open or create the state of a folder.

        Raises Locked while another process has it open, and InputError for a damaged file or that
        of another service.
        """
        self.path = folder / STATE_NAME
        with ExitStack() as stack:
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Locked(f"another `tusou watch` keeps {folder} in step") from None
            self.items = self._read(url)
            rows = starmap(_row, self.items.items())
            write_file(self.path, b"".join([_line({"url": url}), *rows]))
            self._file = stack.enter_context(self.path.open("ab"))
            self._closing = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def save(self, items: Mapping[str, SentItem | None]) -> None:
        """Record items as they are now; None forgets one."""
        with naming_file(self.path):
            self._file.write(b"".join(map(_row, items.keys(), items.values())))
            self._file.flush()
            os.fsync(self._file.fileno())
        for item_id, sent in items.items():
            if sent is None:
                self.items.pop(item_id, None)
            else:
                self.items[item_id] = sent

    def _read(self, url: str) -> dict[str, SentItem]:
        try:
            first, *rows = self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return {}
        except ValueError:  # no complete line
            return {}
        items: dict[str, SentItem] = {}
        try:
            sent_to = json.loads(first)["url"]
            for row in map(json.loads, rows):
                item_id = row.pop("id")
                if row:
                    items[item_id] = SentItem(**row)
                else:
                    items.pop(item_id, None)
        except (ValueError, TypeError, LookupError, AttributeError):
            raise InputError(f"{self.path} is damaged; {_ADVICE}") from None
        if sent_to != url:
            raise InputError(f"{self.path} is about the service {sent_to}; {_ADVICE}")
        return items


_ADVICE = "delete it to send every image again: items whose files are gone then stay in the service"


def _row(item_id: str, sent: SentItem | None) -> bytes:
    return _line({"id": item_id} | (asdict(sent) if sent else {}))


def _line(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields).encode() + b"\n"
