"""Scans with a deadline: the same rows and errors, and an end when the files give no answer."""

import errno
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data.base import ItemPool, ItemRow


class SlowPool(ItemPool):
    """A pool of rows that come after one another, and at the end hang or raise an error."""

    def __init__(self, count: int, end: threading.Event | Exception | None = None) -> None:
        super().__init__([Path("pool.tsv")])
        self._count, self._end = count, end

    def scan(self) -> Iterator[ItemRow | Failure]:
        for number in range(self._count):
            self.size += 1
            yield ItemRow(number, str(number), 0, 0, 1)
        if isinstance(self._end, Exception):
            raise self._end
        if self._end:
            self._end.wait()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_all_rows_come_in_order(count: int) -> None:
    rows = list(SlowPool(count).scan_in_time())
    assert rows == list(SlowPool(count).scan())


def test_errors_of_the_scan_are_raised() -> None:
    with pytest.raises(BadDataset, match="broken"):
        list(SlowPool(3, BadDataset("broken")).scan_in_time())


def test_a_scan_that_hangs_ends_with_an_error_that_names_the_file() -> None:
    gate = threading.Event()
    rows = SlowPool(300, gate).scan_in_time(seconds=0.2)
    assert [next(rows).line for _ in range(256)] == list(range(256))
    with pytest.raises(TimeoutError) as raised:
        next(rows)
    gate.set()
    assert (raised.value.errno, raised.value.filename) == (errno.ETIMEDOUT, "pool.tsv")


def test_a_scan_that_hangs_does_not_keep_the_program() -> None:
    code = (
        "import threading\n"
        "from test_scan_deadline import SlowPool\n"
        "for row in SlowPool(0, threading.Event()).scan_in_time(seconds=0.2): pass\n"
    )
    path = [str(Path(__file__).parent), *sys.path]
    command = [sys.executable, "-c", f"import sys; sys.path = {path!r}\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "TimeoutError: [Errno 110] nothing read for 0.2 s" in done.stderr
