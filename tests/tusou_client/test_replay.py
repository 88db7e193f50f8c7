"""Replay: the exact output despite every fault of the service, or an error that says why."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tusou_client.errors import (
    BadQueries,
    PoolTooSmall,
    ServiceError,
    Unreachable,
    UsageError,
)
from tusou_client.replay import ReplayListener, replay

from tests.tusou_client.replaying import COUNT, expected, only_file_beside, settings
from tusou.core.errors import OutputExists
from tusou.data.submission import read_teddy_table, unzip


def test_fills_every_row_in_order(server, service, queries: Path, tmp_path: Path) -> None:
    out, counts = tmp_path / "pred.jsonl", []
    listener = ReplayListener(progress=lambda done, total: counts.append((done, total)))
    report = replay(queries, out, settings(server, in_flight=4), listener=listener)
    assert out.read_bytes() == expected(service, queries)
    assert (report.rows, report.resumed, report.index_version) == (COUNT, 0, "v1")
    assert counts[0] == (0, COUNT)
    assert counts[-1] == (COUNT, COUNT)
    assert counts == sorted(counts)
    assert only_file_beside(queries, out)
    assert {path for path, _, _ in service.posts} == {"/search/batch"}


def test_rows_that_were_not_reranked_are_counted(
    server, service, monkeypatch: pytest.MonkeyPatch, queries: Path, tmp_path: Path
) -> None:
    rerank = {"0": "partial", "1": "failed", "2": "complete"}
    outcomes: list[str | None] = []
    hits = service.hits

    def reranked(query: str, top_k: int) -> dict[str, object]:
        outcome = rerank.get(str(len(outcomes) % 4))
        outcomes.append(outcome)
        return hits(query, top_k) | ({} if outcome is None else {"rerank": outcome})

    monkeypatch.setattr(service, "hits", reranked)
    report = replay(queries, tmp_path / "pred.jsonl", settings(server))
    assert report.rows == len(outcomes)
    assert report.not_reranked == sum(outcome in ("partial", "failed") for outcome in outcomes) > 0
    monkeypatch.setattr(service, "hits", hits)
    assert replay(queries, tmp_path / "again.jsonl", settings(server)).not_reranked == 0


def test_queries_in_an_unknown_language_are_counted(
    server, service, monkeypatch: pytest.MonkeyPatch, queries: Path, tmp_path: Path
) -> None:
    hits, shares = service.hits, [1.0, 0.49, 0.5]

    def half_known(query: str, top_k: int) -> dict[str, object]:
        share = {"unknown_share": shares.pop()} if shares else {}
        return hits(query, top_k) | share

    monkeypatch.setattr(service, "hits", half_known)
    assert replay(queries, tmp_path / "pred.jsonl", settings(server)).unknown_language == 2


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
    notices: list[str] = []

    def stop(handler) -> None:
        server.stop()
        faults.reset(handler)

    def notice(message: str) -> None:
        notices.append(message)
        if len(notices) == 2:  # one broken connection, and one refused
            restart(server.server_port)

    service.on_post = lambda number: service.faults.append(stop) if number == 3 else None
    out = queries.with_name("pred.jsonl")
    replay(queries, out, settings(server), listener=ReplayListener(notice=notice))
    assert out.read_bytes() == expected(service, queries)
    assert all(message.startswith("unreachable: No answer from http://127") for message in notices)


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


def test_every_request_has_the_filter(server, service, queries: Path, tmp_path: Path) -> None:
    selected = {"price": {"$lte": 200}}
    replay(queries, tmp_path / "pred.jsonl", settings(server, filter=selected))
    assert [body["filter"] for _, _, body in service.posts] == [selected] * len(service.posts)
    service.pool = 3
    with pytest.raises(PoolTooSmall, match="filter less, or give --top-k 3"):
        replay(queries, tmp_path / "other.jsonl", settings(server, filter=selected))


@pytest.mark.parametrize("interpret", [True, False])
def test_every_request_says_whether_to_interpret(
    server, service, queries: Path, tmp_path: Path, interpret: bool
) -> None:
    service.refuses = {"裙子 3": "empty_query"}  # its batch is sent again, query by query
    with pytest.raises(BadQueries):
        replay(queries, tmp_path / "pred.jsonl", settings(server, interpret=interpret))
    assert {path for path, _, _ in service.posts} == {"/search/batch", "/search"}
    assert {body["interpret"] for _, _, body in service.posts} == {interpret}
    service.refuses = {}
    report = replay(queries, tmp_path / "pred.jsonl", settings(server, interpret=interpret))
    assert report.interpret is interpret


def test_refused_queries_are_all_named_with_their_lines(
    server, service, queries: Path, tmp_path: Path
) -> None:
    service.refuses = {"裙子 3": "empty_query", "裙子 41": "query_too_long"}
    with pytest.raises(BadQueries) as raised:
        replay(queries, tmp_path / "pred.jsonl", settings(server, in_flight=4))
    first, *lines = str(raised.value).split("\n  ")
    assert first == "The service refused 2 queries; correct these lines and run again."
    assert lines == [
        "line 4: empty_query: Nothing is left.",
        "line 42: query_too_long: Nothing is left.",
    ]
    assert list(tmp_path.iterdir()) == [queries]


def test_a_batch_refused_for_no_single_query_is_a_service_error(
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


def test_unusable_lines_are_reported_before_anything_is_sent(
    server, service, queries: Path, tmp_path: Path
) -> None:
    with queries.open("ab") as file:
        file.write(b'\n{"query_id": 0, "query_text": "x"}\n')
    with pytest.raises(BadQueries, match=r"line 51: blank line\n  line 52: the id of line 1 again"):
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
    with pytest.raises(UsageError, match="would replace the query file"):
        replay(queries, queries, settings(server), force=True)


def test_a_missing_folder_is_an_error(server, queries: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        replay(queries, tmp_path / "no" / "pred.jsonl", settings(server))


def test_a_service_that_is_not_there_yet_is_waited_for(
    server, service, restart: Callable[[int], object], queries: Path
) -> None:
    server.stop()
    notices: list[str] = []

    def notice(message: str) -> None:
        notices.append(message)
        if len(notices) == 7:  # more refused connections than a single search would try
            restart(server.server_port)

    out = queries.with_name("pred.jsonl")
    replay(queries, out, settings(server), listener=ReplayListener(notice=notice))
    assert out.read_bytes() == expected(service, queries)


def test_a_service_that_never_comes_is_named(server, queries: Path, tmp_path: Path) -> None:
    server.stop()
    with pytest.raises(Unreachable, match="Is `tusou serve` running there"):
        replay(queries, tmp_path / "pred.jsonl", settings(server, patience=0.3))


def test_retries_end_when_patience_runs_out(
    server, service, faults, queries: Path, tmp_path: Path
) -> None:
    service.on_post = lambda number: service.faults.append(faults.problem(503, "not_ready"))
    with pytest.raises(ServiceError) as raised:
        replay(queries, tmp_path / "pred.jsonl", settings(server, patience=0.3))
    assert raised.value.code == "not_ready"


def test_a_zip_for_muge_holds_the_rows(server, service, queries: Path, tmp_path: Path) -> None:
    out = tmp_path / "pred.zip"
    replay(queries, out, settings(server))
    assert unzip(out.read_bytes()) == expected(service, queries)
    assert only_file_beside(queries, out)


def test_a_table_for_teddy(server, service, queries: Path, tmp_path: Path) -> None:
    out = tmp_path / "result1.csv"
    replay(queries, out, settings(server, top_k=5))
    table = read_teddy_table(out.read_bytes())
    assert (table.direction, table.problems) == ("text_to_image", [])
    rows = [json.loads(line) for line in expected(service, queries, 5).splitlines()]
    assert table.rankings == {
        str(row["query_id"]): [str(item) for item in row["item_ids"]] for row in rows
    }


def test_a_contest_takes_its_own_number_of_items(server, queries: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Teddy Cup takes 5 items .* give --top-k 5"):
        replay(queries, tmp_path / "result1.csv", settings(server))
    with pytest.raises(UsageError, match=r"MUGE takes 10 items .* give --top-k 10"):
        replay(queries, tmp_path / "pred.zip", settings(server, top_k=5))
    assert list(tmp_path.iterdir()) == [queries]
