"""The cache of grades: limits, sharing between processes, and files that cannot be used."""

import sqlite3
from pathlib import Path

import pytest

from tusou.stages.endpoint_cache import GradeCache
from tusou.stages.endpoint_cache_file import GradeFile


def key(number: int) -> bytes:
    return number.to_bytes(16)


def test_the_grades_used_last_stay() -> None:
    cache = GradeCache(3 * 240)
    cache.put({key(1): 0.1, key(2): 0.2, key(3): 0.3})
    assert cache.get([key(1)]) == {key(1): 0.1}
    cache.put({key(4): 0.4})
    assert cache.get([key(n) for n in range(6)]) == {key(1): 0.1, key(3): 0.3, key(4): 0.4}
    assert len(cache) == 3


def test_a_cache_without_room_knows_nothing() -> None:
    cache = GradeCache(0)
    cache.put({key(1): 0.1})
    assert cache.get([key(1)]) == {}


def test_a_file_outlives_the_cache_and_is_shared(tmp_path: Path) -> None:
    first = GradeCache(10_000, GradeFile(tmp_path / "neu" / "grades.sqlite"))
    second = GradeCache(10_000, GradeFile(tmp_path / "neu" / "grades.sqlite"))
    first.put({key(1): 0.25, key(2): 1.0})
    assert second.get([key(2), key(9)]) == {key(2): 1.0}
    second.put({key(1): 0.5})
    assert first.get([key(1)]) == {key(1): 0.25}  # from its memory
    first.close()
    second.close()
    again = GradeFile(tmp_path / "neu" / "grades.sqlite")
    assert again.get([key(1), key(2)]) == {key(1): 0.5, key(2): 1.0}
    again.close()


def test_a_full_file_forgets_what_was_stored_first(tmp_path: Path) -> None:
    file = GradeFile(tmp_path / "grades.sqlite", max_rows=3)
    for number in range(5):
        file.put({key(number): number / 10})
    assert file.get([key(n) for n in range(5)]) == {key(n): n / 10 for n in (2, 3, 4)}
    file.close()


def test_a_foreign_file_is_logged_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "grades.sqlite"
    path.write_bytes(b"not a database" * 100)
    cache = GradeCache(10_000, GradeFile(path))
    cache.put({key(1): 0.5})
    assert cache.get([key(1), key(2)]) == {key(1): 0.5}
    assert path.read_bytes() == b"not a database" * 100
    assert [str(path) in record.message for record in caplog.records] == [True]


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = GradeFile(tmp_path / "file" / "grades.sqlite")
    file.put({key(1): 0.5})
    assert file.get([key(1)]) == {}


def test_a_file_that_is_locked_for_a_while_is_used_again(tmp_path: Path) -> None:
    file = GradeFile(tmp_path / "grades.sqlite")
    other = sqlite3.connect(tmp_path / "grades.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    file.put({key(1): 0.5})
    other.execute("ROLLBACK")
    assert file.get([key(1)]) == {}
    file.put({key(1): 0.5})
    assert file.get([key(1)]) == {key(1): 0.5}
    other.close()
    file.close()
