"""Replay: exact bytes out, whatever the service and the machine do in between."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.errors import (
    BadQueries,
    IndexChanged,
    Misuse,
    OutputExists,
    PoolTooSmall,
    ServiceError,
    UnfinishedRun,
    Unreachable,
)
from clients.journal import Journal
from clients.replay import ReplaySettings, Watcher, replay

COUNT = 50


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    return write_queries(tmp_path / "queries.jsonl", COUNT)


def write_queries(path: Path, count: int, first: int = 0) -> Path:
    rows = [
        {"query_id": number, "query_text": f"裙子 {number}", "weight": number / 10}
        for number in range(first, first + count)
    ]
    path.write_bytes(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
    return path


def expected(service, queries: Path, top_k: int = 10) -> bytes:
    """What the file must be, made the plain way."""
    rows = [json.loads(line) for line in queries.read_text("utf-8").splitlines()]
    for row in rows:
        row["item_ids"] = service.hits(row["query_text"], top_k)["item_ids"]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def settings(server, **changes: object) -> ReplaySettings:
    return ReplaySettings(**{"url": server.url, "batch_size": 4, "in_flight": 1} | changes)


def only_file_beside(queries: Path, out: Path) -> bool:
    return sorted(out.parent.iterdir()) == sorted([queries, out])


def test_fills_every_row_in_order(server, service, queries: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "pred.jsonl", []
    watcher = Watcher(progress=lambda done, total: seen.append((done, total)))
    report = replay(queries, out, settings(server, in_flight=4), watcher=watcher)
    assert out.read_bytes() == expected(service, queries)
    assert (report.rows, report.resumed, report.index_version) == (COUNT, 0, "v1")
    assert seen[0] == (0, COUNT)
    assert seen[-1] == (COUNT, COUNT)
    assert seen == sorted(seen)
    assert only_file_beside(queries, out)
    assert {path for path, _, _ in service.posts} == {"/search/batch"}


def test_survives_a_service_that_fails_one_time_in_five(
    server, service, faults, queries: Path, tmp_path: Path
) -> None:
    kinds = [
        faults.reset,
        faults.cut_short,
        faults.reply(200, b"<html></html>"),
        faults.reply(200, b'{"results": [{"item_ids": ['),
        faults.reply(200, b'{"results": [], "index_version": "v1"}'),
        faults.problem(503, "overloaded", retry_after_ms=1),
        faults.reply(429, b"", Retry_After="0"),
        faults.problem(500, "internal"),
    ]
    draw = random.Random(1)

    def sometimes_spoil(number: int) -> None:
        if draw.random() < 0.2:
            service.faults.append(draw.choice(kinds))

    service.on_post = sometimes_spoil
    out = tmp_path / "pred.jsonl"
    replay(queries, out, settings(server, batch_size=1, in_flight=4))
    assert out.read_bytes() == expected(service, queries)
    assert COUNT < len(service.posts) <= 1.3 * COUNT


def test_a_service_that_restarts_loses_no_row(
    server, service, faults, restart: Callable[[int], object], queries: Path
) -> None:
    heard: list[str] = []

    def die(handler) -> None:
        server.stop()
        faults.reset(handler)

    def notice(message: str) -> None:
        heard.append(message)
        if len(heard) == 2:  # one broken connection, and one refused
            restart(server.server_port)

    service.on_post = lambda number: service.faults.append(die) if number == 3 else None
    out = queries.with_name("pred.jsonl")
    replay(queries, out, settings(server), watcher=Watcher(notice=notice))
    assert out.read_bytes() == expected(service, queries)
    assert all(message.startswith("unreachable: No answer from http://127") for message in heard)


def run_command(queries: Path, out: Path, url: str, *more: str) -> subprocess.Popen[bytes]:
    program = "from tusou.cli import main; main()"
    options = ["--out", str(out), "--url", url, "--batch-size", "4", "--in-flight", "1", *more]
    return subprocess.Popen(
        [sys.executable, "-c", program, "replay", str(queries), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("killed_at", [9])
def test_a_killed_run_goes_on_to_the_same_bytes(
    server, service, queries: Path, tmp_path: Path, killed_at: int
) -> None:
    reached, gate = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if number == killed_at:
            reached.set()
            gate.wait(20)

    service.on_post = hold
    out = tmp_path / "pred.jsonl"
    process = run_command(queries, out, server.url)
    assert reached.wait(20)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    gate.set()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()

    again = run_command(queries, out, server.url, "--json")
    printed, _ = again.communicate(timeout=30)
    assert again.returncode == 0
    done_before = (killed_at - 1) * 4
    assert json.loads(printed)["resumed"] == done_before
    assert out.read_bytes() == expected(service, queries)
    assert only_file_beside(queries, out)
    asked_twice = {query for query, count in service.asked.items() if count > 1}
    held = {f"裙子 {number}" for number in range(done_before, done_before + 4)}
    assert asked_twice <= held  # what had been answered was not asked again


def partial_run(service, server, queries: Path, out: Path, batches: int) -> None:
    """Leave a journal of so many batches behind, by a service that then refuses."""
    keep = service.answer
    service.answer = lambda path, body: (
        (403, {"code": "stop"}) if len(service.posts) > batches else keep(path, body)
    )
    with pytest.raises(ServiceError):
        replay(queries, out, settings(server))
    service.answer = keep
    service.posts.clear()
    assert (out.parent / "pred.jsonl.partial").exists()


def test_an_error_keeps_what_was_answered_and_says_so(
    server, service, faults, queries: Path, tmp_path: Path
) -> None:
    heard: list[str] = []
    service.faults = [answer_right] * 2 + [faults.problem(403, "stop")]
    with pytest.raises(ServiceError):
        replay(
            queries,
            tmp_path / "pred.jsonl",
            settings(server),
            watcher=Watcher(notice=heard.append),
        )
    kept_in = tmp_path / "pred.jsonl.partial"
    assert heard == [f"8 finished rows are kept in {kept_in}: the same command goes on from there."]


def answer_right(handler) -> None:
    _, _, body = handler.server.service.posts[-1]
    _, answer = handler.server.service.answer("/search/batch", body)
    handler.reply(200, json.dumps(answer).encode())


def test_a_new_index_between_two_runs_starts_again(
    server, service, queries: Path, tmp_path: Path
) -> None:
    out, heard = tmp_path / "pred.jsonl", []
    partial_run(service, server, queries, out, batches=3)
    service.version = "v2"
    report = replay(queries, out, settings(server), watcher=Watcher(notice=heard.append))
    [message] = heard
    assert message == (
        "The service now serves index v2; the rows so far came from v1, and one file must not "
        "mix two. Starting again from the first row."
    )
    assert report.index_version == "v2"
    assert out.read_bytes() == expected(service, queries)


def test_a_new_index_in_the_middle_of_a_run_starts_again(
    server, service, queries: Path, tmp_path: Path
) -> None:
    def swap(number: int) -> None:
        if number == 7:
            service.version = "v2"

    service.on_post = swap
    out, heard = tmp_path / "pred.jsonl", []
    watcher = Watcher(notice=heard.append)
    report = replay(queries, out, settings(server, in_flight=4), watcher=watcher)
    assert (len(heard), report.index_version) == (1, "v2")
    assert out.read_bytes() == expected(service, queries)


def test_an_index_that_keeps_changing_is_an_error(
    server, service, queries: Path, tmp_path: Path
) -> None:
    def swap(number: int) -> None:
        service.version = f"v{number}"

    service.on_post = swap
    with pytest.raises(IndexChanged):
        replay(queries, tmp_path / "pred.jsonl", settings(server))
    assert not (tmp_path / "pred.jsonl").exists()


def test_progress_of_another_file_is_not_dropped_unasked(
    server, service, queries: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pred.jsonl"
    partial_run(service, server, queries, out, batches=3)
    other = write_queries(tmp_path / "other.jsonl", 10, first=500)
    with pytest.raises(UnfinishedRun, match="give --force to drop its progress"):
        replay(other, out, settings(server))
    with pytest.raises(UnfinishedRun):
        replay(queries, out, settings(server, top_k=5))
    assert replay(other, out, settings(server), force=True).resumed == 0
    assert out.read_bytes() == expected(service, other)


def test_force_still_goes_on_with_its_own_progress(
    server, service, queries: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pred.jsonl"
    partial_run(service, server, queries, out, batches=3)
    out.write_text("old")
    assert replay(queries, out, settings(server), force=True).resumed == 12
    assert out.read_bytes() == expected(service, queries)


def damage_torn(lines: list[bytes]) -> bytes:
    return b"\n".join(lines[:-1]) + b"\n" + lines[-1][:20]


def damage_id(lines: list[bytes]) -> bytes:
    lines[6] = lines[6].replace(b'"query_id": 5', b'"query_id": 6')
    return b"\n".join(lines) + b"\n"


def damage_count(lines: list[bytes]) -> bytes:
    lines[6] = lines[6].replace(b'"item_ids": [', b'"item_ids": [1, ')
    return b"\n".join(lines) + b"\n"


def damage_garbage(lines: list[bytes]) -> bytes:
    lines[6] = b"\0" * 40
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize(
    ("damage", "kept"),
    [(damage_torn, 8), (damage_id, 4), (damage_count, 4), (damage_garbage, 4)],
)
def test_a_damaged_journal_is_used_as_far_as_it_is_right(
    server, service, queries: Path, damage: Callable[[list[bytes]], bytes], kept: int
) -> None:
    out = queries.with_name("pred.jsonl")
    journal = queries.with_name("pred.jsonl.partial")
    partial_run(service, server, queries, out, batches=3)
    journal.write_bytes(damage(journal.read_bytes().splitlines()))
    assert replay(queries, out, settings(server)).resumed == kept
    assert out.read_bytes() == expected(service, queries)


@pytest.mark.parametrize("content", [b"", b'{"tusou', b"[]\nx\n"])
def test_a_journal_without_a_header_counts_for_nothing(
    server, service, queries: Path, tmp_path: Path, content: bytes
) -> None:
    out = tmp_path / "pred.jsonl"
    (tmp_path / "pred.jsonl.partial").write_bytes(content)
    assert replay(queries, out, settings(server)).resumed == 0
    assert out.read_bytes() == expected(service, queries)


def test_a_run_killed_before_its_last_step_needs_no_service(
    server, service, queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "pred.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "publish", lambda self, out: None)
        replay(queries, out, settings(server))
    assert not out.exists()
    server.stop()
    report = replay(queries, out, settings(server))
    assert (report.resumed, report.index_version) == (COUNT, "v1")
    assert out.read_bytes() == expected(service, queries)


def test_a_full_disk_leaves_the_old_output_whole(
    server, queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "pred.jsonl"
    out.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replay(queries, out, settings(server), force=True)
    assert out.read_text() == "old"


def test_one_output_has_one_writer(server, queries: Path, tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "pred.jsonl.partial"),
        pytest.raises(UnfinishedRun, match="Another replay"),
    ):
        replay(queries, tmp_path / "pred.jsonl", settings(server))


def test_refused_queries_are_all_named_with_their_lines(
    server, service, queries: Path, tmp_path: Path
) -> None:
    service.refuses = {"裙子 3": "empty_query", "裙子 41": "query_too_long"}
    with pytest.raises(BadQueries) as raised:
        replay(queries, tmp_path / "pred.jsonl", settings(server, in_flight=4))
    first, *listed = str(raised.value).split("\n  ")
    assert first == "The service refused 2 queries; mend these lines and run again."
    assert listed == [
        "line 4: empty_query: Nothing is left.",
        "line 42: query_too_long: Nothing is left.",
    ]
    assert list(tmp_path.iterdir()) == [queries]


def test_a_batch_that_is_refused_as_a_whole_is_no_data_error(
    server, faults, service, queries: Path, tmp_path: Path
) -> None:
    service.faults = [faults.problem(422, "invalid_request")]
    with pytest.raises(ServiceError, match="Said so"):
        replay(queries, tmp_path / "pred.jsonl", settings(server))


def test_a_pool_smaller_than_a_row_is_an_error(
    server, service, queries: Path, tmp_path: Path
) -> None:
    service.pool = 8
    with pytest.raises(PoolTooSmall, match=r"only 8 items .* line 1, .* or give --top-k 8"):
        replay(queries, tmp_path / "pred.jsonl", settings(server))
    replay(queries, tmp_path / "pred.jsonl", settings(server, top_k=8))
    assert (tmp_path / "pred.jsonl").read_bytes() == expected(service, queries, top_k=8)


def test_unusable_lines_are_told_before_anything_is_sent(
    server, service, queries: Path, tmp_path: Path
) -> None:
    with queries.open("ab") as file:
        file.write(b'\n{"query_id": 0, "query_text": "x"}\n')
    with pytest.raises(BadQueries, match=r"line 51: blank\n  line 52: the id of line 1 again"):
        replay(queries, tmp_path / "pred.jsonl", settings(server))
    assert service.posts == []
    assert list(tmp_path.iterdir()) == [queries]


def test_an_existing_output_is_replaced_only_by_force(
    server, service, queries: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pred.jsonl"
    out.write_text("old")
    with pytest.raises(OutputExists):
        replay(queries, out, settings(server))
    assert out.read_text() == "old"
    replay(queries, out, settings(server), force=True)
    assert out.read_bytes() == expected(service, queries)


def test_the_query_file_is_never_replaced(server, queries: Path) -> None:
    with pytest.raises(Misuse, match="would replace the query file"):
        replay(queries, queries, settings(server), force=True)


def test_a_missing_folder_is_told_first(server, queries: Path, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="does not exist"):
        replay(queries, tmp_path / "no" / "pred.jsonl", settings(server))


def test_a_wrong_address_is_told_at_once(server, queries: Path, tmp_path: Path) -> None:
    server.stop()
    with pytest.raises(Unreachable, match="Is `tusou serve` running there"):
        replay(queries, tmp_path / "pred.jsonl", settings(server))


def test_patience_has_an_end(server, service, faults, queries: Path, tmp_path: Path) -> None:
    service.on_post = lambda number: service.faults.append(faults.problem(503, "not_ready"))
    with pytest.raises(ServiceError) as raised:
        replay(queries, tmp_path / "pred.jsonl", settings(server, patience=0.3))
    assert raised.value.code == "not_ready"


def test_the_journal_says_what_it_belongs_to(
    server, service, queries: Path, tmp_path: Path
) -> None:
    partial_run(service, server, queries, tmp_path / "pred.jsonl", batches=2)
    first, *rows = (tmp_path / "pred.jsonl.partial").read_bytes().splitlines(keepends=True)
    header = json.loads(first)
    assert list(header) == ["tusou_replay", "queries_sha256", "top_k", "index_version"]
    assert (header["top_k"], header["index_version"]) == (10, "v1")
    assert b"".join(rows) == b"".join(expected(service, queries).splitlines(keepends=True)[:8])


def test_an_interrupt_keeps_what_was_answered(
    server, service, queries: Path, tmp_path: Path
) -> None:
    reached, gate = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if number == 4:
            reached.set()
            gate.wait(20)

    service.on_post = hold
    process = run_command(queries, tmp_path / "pred.jsonl", server.url)
    assert reached.wait(20)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=20)
    gate.set()
    assert process.returncode != 0
    assert b"Traceback" not in printed
    assert b"12 finished rows are kept in" in b" ".join(printed.split())
