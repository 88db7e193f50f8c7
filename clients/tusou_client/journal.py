"""The finished rows of an unfinished replay, kept beside its output."""

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from tusou_client.errors import UnfinishedRun


class Journal:
    """A file of one header line and then whole rows in order, held by one process at a time.

    A kill leaves at worst a torn last row, which `read` does not count.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file, or raise UnfinishedRun while another process holds it."""
        self.path = path
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise UnfinishedRun(f"Another replay is writing {path} now; let it finish.") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self) -> tuple[dict[str, object] | None, list[bytes]]:
        """Return the header (None when there is no readable one) and the whole rows."""
        self._file.seek(0)
        first, *rows = self._file.read().split(b"\n")[:-1] or [b""]
        try:
            header = json.loads(first)
        except ValueError:
            return None, []
        return (header, rows) if isinstance(header, dict) else (None, [])

    def clear(self) -> None:
        """Forget everything."""
        self._file.truncate(0)

    def start(self, header: dict[str, object], rows: Iterable[bytes] = ()) -> None:
        """Make this header and these rows the whole content."""
        self.clear()
        self.append([json.dumps(header).encode(), *rows])

    def append(self, rows: Iterable[bytes]) -> None:
        """Add rows that come next."""
        self._file.write(b"".join(row + b"\n" for row in rows))
        self._file.flush()

    def publish(self, out: Path, form: Callable[[list[bytes]], bytes]) -> None:
        """Make the rows the output, in one step and on disk, and remove this file."""
        _, rows = self.read()
        side = out.with_name(f"{out.name}.tmp")
        with side.open("wb") as file:
            file.write(form(rows))
            file.flush()
            os.fsync(file.fileno())
        side.replace(out)
        _sync_folder(out.parent)
        self.discard()

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
