"""The finished rows of an unfinished replay, in a file beside its output."""

import fcntl
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from tusou_client.errors import UnfinishedRun


class Journal:
    """A file of one header line and complete rows in order, locked by one process.

    After a kill its last row may be incomplete; `read` leaves that row out.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file; raise UnfinishedRun while another process has it locked."""
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
        """Return the header (None if it cannot be read) and the complete rows."""
        self._file.seek(0)
        first, *rows = self._file.read().split(b"\n")[:-1] or [b""]
        try:
            header = json.loads(first)
        except ValueError:
            return None, []
        return (header, rows) if isinstance(header, dict) else (None, [])

    def clear(self) -> None:
        self._file.truncate(0)

    def start(self, header: dict[str, object], rows: Iterable[bytes] = ()) -> None:
        """Replace the content by this header and these rows."""
        self.clear()
        self.append([json.dumps(header).encode(), *rows])

    def append(self, rows: Iterable[bytes]) -> None:
        self._file.write(b"".join(row + b"\n" for row in rows))
        self._file.flush()

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
