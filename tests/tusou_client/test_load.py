"""Open-loop load: latencies count from the moment a query was due."""

import threading

import pytest
from tusou_client.errors import LoadLimit, Unreachable
from tusou_client.load import LoadSettings, Outcome, Sample, percentile, run_load, summarise


def test_nearest_rank_percentiles() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert [percentile(hundred, share) for share in (0.5, 0.9, 0.99, 1.0)] == [50, 90, 99, 100]
    assert [percentile([3.0], share) for share in (0.0, 0.5, 0.99)] == [3.0, 3.0, 3.0]
    assert percentile([1.0, 2.0], 0.5) == 1.0


def test_a_report_groups_by_code_and_status() -> None:
    samples = [
        Sample("ok", 200, 0.010, 0.0),
        Sample("ok", 200, 0.030, 0.001),
        Sample("ok", 200, 2.500, 0.0),  # right, but too late to be good
        Sample("overloaded", 503, 0.002, 0.004),
        Sample("timeout", None, 2.1, 0.0),
    ]
    report = summarise(samples, LoadSettings(rate=5, duration=2, timeout=2))
    assert (report.sent, report.goodput_per_s, report.max_lateness_ms) == (5, 1.0, 4.0)
    assert report.outcomes == (
        Outcome("ok", 200, 3, 30.0, 2500.0, 2500.0, 2500.0),
        Outcome("overloaded", 503, 1, 2.0, 2.0, 2.0, 2.0),
        Outcome("timeout", None, 1, 2100.0, 2100.0, 2100.0, 2100.0),
    )


def test_sends_the_queries_in_turn(server, service) -> None:
    report = run_load(["裙", "鞋", "包"], LoadSettings(rate=200, duration=0.05, url=server.url))
    assert report.sent == 10
    assert [(row.code, row.status, row.count) for row in report.outcomes] == [("ok", 200, 10)]
    assert report.goodput_per_s == 200.0
    assert service.query_counts == {"裙": 4, "鞋": 3, "包": 3}
    assert all(body["interpret"] for _, _, body in service.posts)


def test_queries_can_be_searched_as_written(server, service) -> None:
    run_load(["裙"], LoadSettings(rate=100, duration=0.01, url=server.url, interpret=False))
    assert [body["interpret"] for _, _, body in service.posts] == [False]


def test_a_slow_service_does_not_slow_the_arrivals(server, service) -> None:
    barrier = threading.Barrier(8)  # no reply before all eight queries: a closed loop hangs
    service.on_post = lambda number: barrier.wait(10)
    report = run_load(["裙"], LoadSettings(rate=100, duration=0.08, url=server.url, timeout=10))
    assert [(row.code, row.count) for row in report.outcomes] == [("ok", 8)]


def test_failures_are_counted_and_never_retried(server, service, faults) -> None:
    service.faults = [
        faults.problem(503, "overloaded", retry_after_ms=1),
        faults.problem(503, "overloaded", retry_after_ms=1),
        faults.reset,
        faults.reply(200, b"<html>"),
    ]
    report = run_load(["裙"], LoadSettings(rate=100, duration=0.05, url=server.url))
    assert {(row.code, row.status): row.count for row in report.outcomes} == {
        ("overloaded", 503): 2,
        ("unreachable", None): 1,
        ("bad_reply", None): 1,
        ("ok", 200): 1,
    }
    assert len(service.posts) == 5


def test_a_rate_beyond_this_process_ends_the_run(server, service) -> None:
    settings = LoadSettings(rate=1e6, duration=60, url=server.url, timeout=0.05)
    with pytest.raises(LoadLimit, match="This process is the limit, not the service"):
        run_load(["裙"], settings)
    assert len(service.posts) < 60e6 / 1000


def test_an_unreachable_service_is_one_error(server) -> None:
    server.stop()
    with pytest.raises(Unreachable):
        run_load(["裙"], LoadSettings(rate=100, duration=0.05, url=server.url))
