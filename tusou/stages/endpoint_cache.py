"""A cache of grades that a model gave to items for queries."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from tusou.stages.endpoint_cache_file import GradeFile

KEY_BYTES = 16
# Memory of a key, a grade and their entry in the dictionary, in 64-bit CPython.
_ENTRY_BYTES = 240


class GradeCache:
    """The grades used last, in memory of at most `max_bytes`, and all of them in a file if given.

    Safe to use from several threads.
    """

    def __init__(self, max_bytes: int, file: GradeFile | None = None) -> None:
        self._limit = max_bytes // _ENTRY_BYTES
        self._file = file
        self._lock = threading.Lock()
        self._grades: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._grades)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """Return the known grades."""
        with self._lock:
            known = {key: self._grades[key] for key in keys if key in self._grades}
            for key in known:
                self._grades.move_to_end(key)
        if self._file is not None and len(known) < len(keys):
            stored = self._file.get([key for key in keys if key not in known])
            self._remember(stored)
            known |= stored
        return known

    def put(self, grades: Mapping[bytes, float]) -> None:
        """Add grades."""
        self._remember(grades)
        if self._file is not None:
            self._file.put(grades)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _remember(self, grades: Mapping[bytes, float]) -> None:
        with self._lock:
            self._grades |= grades
            for key in grades:
                self._grades.move_to_end(key)
            while len(self._grades) > self._limit:
                self._grades.popitem(last=False)
