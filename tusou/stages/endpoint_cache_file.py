"""A file of grades, which several processes share and which outlives them."""

import logging
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

GRADE_FILE = "rerank-grades.sqlite"

_MAX_ROWS = 2_000_000  # about 100 MB
# For another process that writes: at the start, and during a search.
_START_SECONDS, _WAIT_SECONDS = 5.0, 0.05
_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS grades (key BLOB PRIMARY KEY, grade REAL NOT NULL);
PRAGMA busy_timeout = {_WAIT_SECONDS * 1000:.0f};
"""

_log = logging.getLogger(__name__)


class GradeFile:
    """Grades by key in an SQLite file; a file that cannot be used is logged and left alone.

    Safe to use from several threads.
    """

    def __init__(self, path: Path, max_rows: int = _MAX_ROWS) -> None:
        self._path, self._max_rows = path, max_rows
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=_START_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """Return the stored grades of keys."""
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, grade FROM grades WHERE key IN ({marks})"  # noqa: S608 - only marks
        with self._lock:
            if self._connection is None:
                return {}
            try:
                return dict(self._connection.execute(query, keys).fetchall())
            except sqlite3.Error as error:
                self._failed(error)
                return {}

    def put(self, grades: Mapping[bytes, float]) -> None:
        """Store grades; beyond the limit of the file, those stored first are deleted."""
        with self._lock:
            if self._connection is None:
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "INSERT OR REPLACE INTO grades VALUES (?, ?)", grades.items()
                )
                self._connection.execute(
                    "DELETE FROM grades WHERE rowid <= (SELECT max(rowid) FROM grades) - ?",
                    (self._max_rows,),
                )
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._failed(error)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _failed(self, error: sqlite3.Error) -> None:
        """Go on without the file, unless another process has only locked it for a while."""
        with suppress(sqlite3.Error):
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()
        if not isinstance(error, sqlite3.OperationalError) or "locked" not in str(error):
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        _log.warning("%s is not used as a cache of grades: %s", self._path, error)
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
