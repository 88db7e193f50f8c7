"""The write-ahead log: what was acknowledged is there after any end, and damage is told."""

import errno
import os
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from benchmarks.vector_bundle import MODEL, unit_vectors
from tusou.core.errors import CorruptBundle, IncompatibleBundle, Locked, StorageFull
from tusou.live.frames import HEADER_BYTES
from tusou.live.log import LiveLog
from tusou.live.log_file import log_path, read_mark
from tusou.live.operations import Batch, Delete, LoggedUpsert, Patch, Upsert

VECTOR = unit_vectors(1, seed=3)[0]
STRIDE = 11  # every case takes some fsyncs


def upsert(item_id: str, content: bytes = b"\xff\xd8\xff...") -> Upsert:
    return Upsert(item_id, content, VECTOR, MODEL, {"title": "碎花连衣裙", "tags": ["夏季"]})


BATCHES: list[Batch] = [
    [upsert("1.jpg#zhc#0")],
    [Patch("连衣裙", {"price": 99.5, "title": None}), Delete("0007")],
    [upsert("2.jpg", b"\xf5LOG" * 20), upsert("2.jpg", b"x")],
]


def filled(root: Path) -> list[int]:
    """Append the batches one by one; return the sizes of the file between them."""
    log, sizes = LiveLog(root), [HEADER_BYTES]
    for batch in BATCHES:
        log.append([batch])
        sizes.append(log.size)
    log.close()
    return sizes


def contents(log: LiveLog, after: int = 0) -> list[tuple[int, list[object]]]:
    """Return positions and operations, with the bytes of items in place of their spans."""
    return [
        (position, [content_of(log, operation) for operation in batch])
        for position, batch in log.changes(after)
    ]


def content_of(log: LiveLog, operation: object) -> object:
    if not isinstance(operation, LoggedUpsert):
        return operation
    np.testing.assert_array_equal(operation.vector, VECTOR)
    return operation.item_id, log.read(operation.span), operation.model, operation.attributes


def expected(batch: Batch) -> list[object]:
    return [
        (operation.item_id, operation.content, operation.model, operation.attributes)
        if isinstance(operation, Upsert)
        else operation
        for operation in batch
    ]


EXPECTED = [(position, expected(batch)) for position, batch in enumerate(BATCHES, 1)]


def test_a_new_log_is_empty(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    assert (log.position, log.base, log.torn_bytes, contents(log)) == (0, 0, 0, [])
    log.close()


def test_what_was_appended_is_read_after_opening_again(tmp_path: Path) -> None:
    filled(tmp_path)
    log = LiveLog(tmp_path)
    assert (log.position, log.torn_bytes) == (3, 0)
    assert contents(log) == EXPECTED
    assert contents(log, after=2) == EXPECTED[2:]
    log.close()


def test_appending_returns_what_reading_does(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    appended = log.append(BATCHES)
    returned = [[content_of(log, operation) for operation in batch] for batch in appended]
    assert list(enumerate(returned, 1)) == EXPECTED == contents(log)
    log.close()


def test_many_batches_are_one_write_and_one_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LiveLog(tmp_path)
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (synced.append(descriptor), real(descriptor))
    )
    log.append(BATCHES)
    assert (len(synced), log.position) == (1, 3)
    log.close()


def test_a_torn_tail_is_cut_and_its_size_told_wherever_the_write_ended(tmp_path: Path) -> None:
    *_, before, whole = filled(tmp_path)
    path = log_path(tmp_path)
    data = path.read_bytes()
    assert len(data) == whole
    for end in [*range(before + 1, whole, STRIDE), whole - 1]:
        path.write_bytes(data[:end])
        log = LiveLog(tmp_path)
        assert (log.position, log.torn_bytes) == (2, end - before)
        assert path.stat().st_size == before
        log.append([BATCHES[2]])
        assert contents(log) == EXPECTED
        log.close()


def test_a_tail_of_zeros_is_torn(tmp_path: Path) -> None:
    sizes = filled(tmp_path)
    with log_path(tmp_path).open("ab") as file:
        file.write(bytes(5000))
    log = LiveLog(tmp_path)
    assert (log.position, log.torn_bytes, log.size) == (3, 5000, sizes[-1])
    log.close()


def test_every_changed_byte_before_the_last_record_is_damage_that_names_the_file(
    tmp_path: Path,
) -> None:
    *_, last, whole = filled(tmp_path)
    path = log_path(tmp_path)
    data = path.read_bytes()
    for place in range(0, whole, STRIDE):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        if place < last:
            with pytest.raises(CorruptBundle, match=str(path)):
                LiveLog(tmp_path)
            assert path.read_bytes() == changed, "nothing is cut"
        else:  # cannot be told from a record that was never acknowledged
            log = LiveLog(tmp_path)
            assert (log.position, log.torn_bytes) == (2, whole - last)
            log.close()


def test_a_log_of_another_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    path = log_path(tmp_path)
    preamble = b"TUSOULOG" + (2).to_bytes(4, "little")
    data = preamble + crc32(preamble).to_bytes(4, "little") + b"another layout"
    path.write_bytes(data)
    with pytest.raises(IncompatibleBundle, match="format 2"):
        LiveLog(tmp_path)
    assert path.read_bytes() == data


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    with pytest.raises(Locked, match="TUSOU_LIVE"):
        LiveLog(tmp_path, wait=0)
    log.close()
    LiveLog(tmp_path).close()


def fail_once(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int, *, written: int | None = None
) -> None:
    """Let one call of `os` fail once; `written` bytes are on the disk before."""
    real = getattr(os, name)

    def failing(descriptor: int, *arguments: object) -> object:
        monkeypatch.setattr(os, name, real)
        if written is not None:
            real(descriptor, arguments[0][:written], arguments[1])  # type: ignore[index]
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, name, failing)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize(("call", "written"), [("pwrite", 0), ("pwrite", 70), ("fsync", None)])
def test_a_change_that_the_disk_refuses_is_not_kept_and_later_ones_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str, written: int | None
) -> None:
    log = LiveLog(tmp_path)
    log.append(BATCHES[:1])
    fail_once(monkeypatch, call, number, written=written)
    with pytest.raises(StorageFull, match=f"{log_path(tmp_path)}: {os.strerror(number)}"):
        log.append([BATCHES[2]])
    assert (log.position, log_path(tmp_path).stat().st_size) == (1, log.size)
    assert contents(log) == EXPECTED[:1]
    log.append(BATCHES[1:])
    log.close()
    log = LiveLog(tmp_path)
    assert contents(log) == EXPECTED
    log.close()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LiveLog(tmp_path)
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:10], offset))
    log.append(BATCHES)
    monkeypatch.undo()
    assert contents(log) == EXPECTED
    log.close()


def test_a_log_that_cannot_be_restored_refuses_writes_until_it_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LiveLog(tmp_path)
    log.append(BATCHES[:1])
    fail_once(monkeypatch, "pwrite", errno.ENOSPC, written=70)
    fail_once(monkeypatch, "ftruncate", errno.EIO)
    for _ in range(2):
        with pytest.raises(StorageFull):
            log.append(BATCHES[1:])
    assert contents(log) == EXPECTED[:1]
    log.close()
    log = LiveLog(tmp_path)
    assert (log.position, log.torn_bytes) == (1, 70)
    log.append(BATCHES[1:])
    assert contents(log) == EXPECTED
    log.close()


def test_trimming_keeps_later_records_their_positions_and_contents(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    log.append(BATCHES[:1])
    log.append(BATCHES[1:2])
    (kept,) = log.append(BATCHES[2:])
    size = log.size
    log.trim(2)
    assert (log.base, log.position) == (2, 3)
    assert log.size < size
    assert contents(log, after=2) == EXPECTED[2:]
    assert isinstance(kept[0], LoggedUpsert)
    assert log.read(kept[0].span) == b"\xf5LOG" * 20, "spans from before the cut still hold"
    with pytest.raises(IncompatibleBundle, match="begins after position 2"):
        list(log.changes(1))
    log.append(BATCHES[:1])
    log.close()
    log = LiveLog(tmp_path, at_least=2)
    assert (log.base, log.position) == (2, 4)
    assert contents(log, after=2) == [EXPECTED[2], (4, EXPECTED[0][1])]
    log.trim(4)
    assert (log.base, log.position, contents(log, after=4)) == (4, 4, [])
    log.append(BATCHES[:1])
    assert log.position == 5
    log.close()


def test_records_of_one_write_are_trimmed_together(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    log.append(BATCHES)
    log.trim(2)
    assert (log.base, log.position) == (0, 3)
    assert contents(log, after=2) == EXPECTED[2:]
    log.close()


def test_a_trim_that_the_disk_refuses_leaves_the_log_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LiveLog(tmp_path)
    log.append(BATCHES[:1])
    log.append(BATCHES[1:])
    fail_once(monkeypatch, "fsync", errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        log.trim(1)
    assert contents(log) == EXPECTED
    assert {path.name for path in (tmp_path / "live").iterdir()} == {"log", "lock"}
    log.append(BATCHES[:1])
    assert log.position == 4
    log.close()


def test_positions_follow_on_those_of_a_version_whose_log_is_lost(tmp_path: Path) -> None:
    filled(tmp_path)
    log = LiveLog(tmp_path, at_least=17)
    assert (log.position, log.base, contents(log, after=17)) == (17, 17, [])
    log.append(BATCHES[:1])
    log.close()
    log_path(tmp_path).unlink()
    log = LiveLog(tmp_path, at_least=18)
    assert (log.position, log.base) == (18, 18)
    log.close()


def test_other_processes_learn_what_is_on_the_disk(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    assert read_mark(tmp_path) == 0
    log.append(BATCHES)
    assert read_mark(tmp_path) == 3
    log.close()
    assert read_mark(tmp_path / "elsewhere") is None
