"""Resuming a replay: finished rows are kept, and belong to one query file and one index."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tusou_client.errors import IndexChanged, ServiceError, UnfinishedRun
from tusou_client.journal import Journal
from tusou_client.replay import ReplayListener, replay

from tests.tusou_client.replaying import COUNT, expected, only_file_beside, settings, write_queries


def run_command(queries: Path, out: Path, url: str, *more: str) -> subprocess.Popen[bytes]:
    # A shell makes its background jobs ignore SIGINT, and processes inherit that.
    restore = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{restore}; from tusou.cli.main import main; main()"
    options = ["--out", str(out), "--url", url, "--batch-size", "4", "--in-flight", "1", *more]
    return subprocess.Popen(
        [sys.executable, "-c", program, "replay", str(queries), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("killed_at", [9])
def test_a_killed_run_resumes_to_the_same_bytes(
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
    repeated = {query for query, count in service.query_counts.items() if count > 1}
    in_flight = {f"裙子 {number}" for number in range(done_before, done_before + 4)}
    assert repeated <= in_flight  # finished rows were not searched again


def partial_run(service, server, queries: Path, out: Path, batches: int) -> None:
    """Leave a journal of some batches behind, by a service that then refuses."""
    respond = service.respond
    service.respond = lambda path, body: (
        (403, {"code": "stop"}) if len(service.posts) > batches else respond(path, body)
    )
    with pytest.raises(ServiceError):
        replay(queries, out, settings(server))
    service.respond = respond
    service.posts.clear()
    assert (out.parent / "pred.jsonl.partial").exists()


def test_an_error_keeps_the_finished_rows_and_says_so(
    server, service, faults, queries: Path, tmp_path: Path
) -> None:
    notices: list[str] = []
    service.faults = [reply_normally] * 2 + [faults.problem(403, "stop")]
    with pytest.raises(ServiceError):
        replay(
            queries,
            tmp_path / "pred.jsonl",
            settings(server),
            listener=ReplayListener(notice=notices.append),
        )
    path = tmp_path / "pred.jsonl.partial"
    assert notices == [f"8 finished rows are kept in {path}: the same command resumes there."]


def reply_normally(handler) -> None:
    _, _, body = handler.server.service.posts[-1]
    _, reply = handler.server.service.respond("/search/batch", body)
    handler.reply(200, json.dumps(reply).encode())


def test_a_new_index_between_two_runs_starts_again(
    server, service, queries: Path, tmp_path: Path
) -> None:
    out, notices = tmp_path / "pred.jsonl", []
    partial_run(service, server, queries, out, batches=3)
    service.version = "v2"
    report = replay(queries, out, settings(server), listener=ReplayListener(notice=notices.append))
    [message] = notices
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
    out, notices = tmp_path / "pred.jsonl", []
    listener = ReplayListener(notice=notices.append)
    report = replay(queries, out, settings(server, in_flight=4), listener=listener)
    assert (len(notices), report.index_version) == (1, "v2")
    assert out.read_bytes() == expected(service, queries)


def test_another_query_encoder_between_two_runs_starts_again(
    server, service, queries: Path, tmp_path: Path
) -> None:
    out, notices = tmp_path / "pred.jsonl", []
    partial_run(service, server, queries, out, batches=3)
    service.student = "abc"
    listener = ReplayListener(notice=notices.append)
    report = replay(queries, out, settings(server), listener=listener)
    [message] = notices
    assert "another model or student" in message
    assert report.index_version == "v1"
    assert out.read_bytes() == expected(service, queries)


def test_another_query_encoder_in_the_middle_of_a_run_starts_again(
    server, service, queries: Path, tmp_path: Path
) -> None:
    def swap(number: int) -> None:
        if number == 7:
            service.student = "abc"

    service.on_post = swap
    out, notices = tmp_path / "pred.jsonl", []
    replay(queries, out, settings(server), listener=ReplayListener(notice=notices.append))
    assert len(notices) == 1
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


def test_progress_of_another_run_is_dropped_only_by_force(
    server, service, queries: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pred.jsonl"
    partial_run(service, server, queries, out, batches=3)
    other = write_queries(tmp_path / "other.jsonl", 10, first=500)
    with pytest.raises(UnfinishedRun, match="give --force to drop its progress"):
        replay(other, out, settings(server))
    with pytest.raises(UnfinishedRun):
        replay(queries, out, settings(server, top_k=5))
    with pytest.raises(UnfinishedRun, match="--no-interpret"):
        replay(queries, out, settings(server, interpret=False))
    with pytest.raises(UnfinishedRun, match="--filter"):
        replay(queries, out, settings(server, filter={"brand": "A"}))
    assert replay(other, out, settings(server), force=True).resumed == 0
    assert out.read_bytes() == expected(service, other)


def test_force_still_resumes_its_own_progress(
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
    ("damage", "resumed"),
    [(damage_torn, 8), (damage_id, 4), (damage_count, 4), (damage_garbage, 4)],
)
def test_a_damaged_journal_is_used_up_to_the_damage(
    server, service, queries: Path, damage: Callable[[list[bytes]], bytes], resumed: int
) -> None:
    out = queries.with_name("pred.jsonl")
    journal = queries.with_name("pred.jsonl.partial")
    partial_run(service, server, queries, out, batches=3)
    journal.write_bytes(damage(journal.read_bytes().splitlines()))
    assert replay(queries, out, settings(server)).resumed == resumed
    assert out.read_bytes() == expected(service, queries)


@pytest.mark.parametrize("content", [b"", b'{"tusou', b"[]\nx\n"])
def test_a_journal_without_a_header_is_ignored(
    server, service, queries: Path, tmp_path: Path, content: bytes
) -> None:
    out = tmp_path / "pred.jsonl"
    (tmp_path / "pred.jsonl.partial").write_bytes(content)
    assert replay(queries, out, settings(server)).resumed == 0
    assert out.read_bytes() == expected(service, queries)


def test_a_run_killed_before_its_last_step_needs_no_service(
    server, service, queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise RuntimeError("killed")

    out = tmp_path / "pred.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr("tusou_client.replay.write_file", kill)
        with pytest.raises(RuntimeError, match="killed"):
            replay(queries, out, settings(server))
    assert not out.exists()
    server.stop()
    report = replay(queries, out, settings(server))
    assert (report.resumed, report.index_version) == (COUNT, "v1")
    assert out.read_bytes() == expected(service, queries)


def test_one_output_has_one_writer(server, queries: Path, tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "pred.jsonl.partial"),
        pytest.raises(UnfinishedRun, match="Another replay"),
    ):
        replay(queries, tmp_path / "pred.jsonl", settings(server))


def test_the_journal_names_its_run(server, service, queries: Path, tmp_path: Path) -> None:
    partial_run(service, server, queries, tmp_path / "pred.jsonl", batches=2)
    first, *rows = (tmp_path / "pred.jsonl.partial").read_bytes().splitlines(keepends=True)
    header = json.loads(first)
    assert list(header) == [
        "tusou_replay",
        "queries_sha256",
        "top_k",
        "interpret",
        "filter",
        "query_encoder",
        "index_version",
        "encoder",
    ]
    assert (header["top_k"], header["interpret"], header["index_version"]) == (10, True, "v1")
    assert b"".join(rows) == b"".join(expected(service, queries).splitlines(keepends=True)[:8])


def test_an_interrupt_keeps_the_finished_rows(
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
