"""A/B tests: assignment of users, reloads of both bundles, and shadow traffic."""

import asyncio
import re
import threading
from collections.abc import Callable

import httpx
import pytest
from tusou_service.experiment.ab_test import ExperimentPlan
from tusou_service.experiment.shadow import overlap

from tests.tusou_service.tiny import Running, TinyBundle, TinyPipeline, TinySource, running
from tusou.core.errors import CorruptBundle
from tusou.core.hits import Hits

USERS = [f"user-{n}" for n in range(2000)]


def split(share: float, name: str = "") -> list[str]:
    plan = ExperimentPlan("split", share, name)
    return [plan.arm_of({"x-user-key": user}) for user in USERS]


@pytest.fixture
def other() -> TinySource:
    return TinySource(TinyPipeline(TinyBundle("w1"), first_id=3))


def test_a_user_key_always_gets_the_same_arm() -> None:
    assert "".join(split(0.5)[:16]) == "abbbbbbbbbabaaba"
    assert split(0.5) == split(0.5)
    assert (split(0.0).count("b"), split(1.0).count("b")) == (0, 2000)
    assert (split(0.1).count("b"), split(0.5).count("b")) == (184, 1026)


def test_a_larger_share_moves_no_user_back() -> None:
    small, large = split(0.2), split(0.6)
    assert all(after == "b" for before, after in zip(small, large, strict=True) if before == "b")


def test_another_experiment_assigns_users_anew() -> None:
    first, second = split(0.5), split(0.5, "colours")
    both = sum(a == b == "b" for a, b in zip(first, second, strict=True))
    assert 400 < both < 600  # a quarter of 2000, were the two independent


@pytest.mark.parametrize(
    ("headers", "arm"),
    [
        ({}, "a"),
        ({"x-user-key": ""}, "a"),
        ({"x-user-key": "user-1", "x-arm": "a"}, "a"),
        ({"x-user-key": "user-0", "x-arm": "b"}, "b"),
        ({"x-user-key": "user-1", "x-arm": "c"}, "b"),
        ({"x-user-key": "用户".encode().decode("latin-1")}, "a"),
    ],
)
def test_the_arm_header_wins(headers: dict[str, str], arm: str) -> None:
    assert ExperimentPlan("split", 0.5).arm_of(headers) == arm
    assert ExperimentPlan("shadow", 0.5).arm_of(headers) == "a"


def client_of(server: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, timeout=20)


async def search(
    client: httpx.AsyncClient, path: str = "/search", **headers: str
) -> httpx.Response:
    bodies = {"/search": {"query": "裙", "top_k": 2}, "/search/batch": {"queries": ["裙"]}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = bodies.get(path, {"input": "裙"})
    return await client.post(path, json=body, headers=named)


async def metrics_of(client: httpx.AsyncClient) -> dict[str, float]:
    text = (await client.get("/metrics")).text
    return {name: float(value) for name, value in re.findall(r"^(tusou\S+) (\S+)$", text, re.M)}


async def until(client: httpx.AsyncClient, name: str, value: float) -> dict[str, float]:
    async with asyncio.timeout(20):
        while (metrics := await metrics_of(client)).get(name) != value:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return metrics


async def test_users_are_split_and_answers_name_the_arm(
    source: TinySource, other: TinySource
) -> None:
    async with running(source, other=other) as server, client_of(server) as client:
        expected = {"user-0": ("a", [0, 1], "v1"), "user-1": ("b", [3, 4], "w1")}
        for user, (arm, ids, version) in expected.items():
            answer = await search(client, x_user_key=user)
            assert answer.headers["x-arm"] == arm
            assert (answer.json()["item_ids"], answer.json()["index_version"]) == (ids, version)
        for path in ("/search/batch", "/v1/embeddings"):
            assert (await search(client, path, x_user_key="user-1")).headers["x-arm"] == "b"
        info = await client.get("/info", headers={"X-Arm": "b"})
        assert info.json()["index_version"] == "w1"
        refused = await client.post("/search", json={}, headers={"X-Arm": "b"})
        assert (refused.status_code, refused.headers["x-arm"]) == (422, "b")
        metrics = await metrics_of(client)
    assert metrics['tusou_arm_requests_total{arm="a",status="200"}'] == 1
    assert metrics['tusou_arm_requests_total{arm="b",status="200"}'] == 3
    assert metrics['tusou_arm_requests_total{arm="b",status="422"}'] == 1
    assert metrics['tusou_arm_seconds_count{arm="b"}'] == 4
    assert metrics['tusou_index_info{arm="a",version="v1"}'] == 1
    assert metrics['tusou_index_info{arm="b",version="w1"}'] == 1
    assert metrics['tusou_batch_size_sum{arm="b"}'] == 2
    # A batch runs on one pipeline.
    assert (source.pipeline.texts_received, other.pipeline.texts_received) == (["裙"], ["裙", "裙"])


async def test_without_a_second_bundle_no_arm_is_named(source: TinySource) -> None:
    async with running(source) as server, client_of(server) as client:
        answer = await search(client, x_user_key="user-1", x_arm="b")
        assert "x-arm" not in answer.headers
        assert answer.json()["index_version"] == "v1"


async def test_a_split_is_ready_when_both_bundles_are(
    source: TinySource, other: TinySource
) -> None:
    other.gate = threading.Event()

    async def look(server: Running, client: httpx.AsyncClient) -> None:
        assert (await client.get("/readyz")).status_code == 503
        assert (await search(client, x_arm="b")).json()["code"] == "not_ready"
        assert (await search(client, x_arm="a")).status_code == 200
        assert other.gate
        other.gate.set()

    async def looked(server: Running) -> None:
        async with client_of(server) as client:
            await look(server, client)

    async with (
        running(source, other=other, while_loading=looked) as server,
        client_of(server) as it,
    ):
        assert (await it.get("/readyz")).status_code == 200


async def test_a_reload_changes_both_bundles_or_neither(
    source: TinySource, other: TinySource
) -> None:
    async with running(source, other=other) as server, client_of(server) as client:
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        other.pipeline, other.error = TinyPipeline(TinyBundle("w2")), CorruptBundle("differs")
        refused = await client.post("/admin/reload")
        assert (refused.status_code, refused.json()["code"]) == (409, "corrupt_bundle")
        assert (await search(client, x_arm="a")).json()["index_version"] == "v1"
        other.error = None
        assert (await client.post("/admin/reload")).json() == {
            "status": "swapped",
            "index_version": "v2",
            "previous_version": "v1",
            "b": {"status": "swapped", "index_version": "w2", "previous_version": "w1"},
        }
        assert (await search(client, x_arm="b")).json()["index_version"] == "w2"
        assert (await client.post("/admin/reload")).json()["b"]["status"] == "unchanged"
        metrics = await metrics_of(client)
        assert 'tusou_index_info{arm="b",version="w1"}' not in metrics


async def test_a_second_bundle_that_cannot_be_served_ends_the_process(
    source: TinySource, other: TinySource
) -> None:
    other.error = CorruptBundle("differs")
    async with running(source, other=other) as server:
        await until_stopped(server)
    assert server.server.monitor.exit_code == 1


async def until_stopped(server: Running) -> None:
    async with asyncio.timeout(20):
        while not server.server.should_exit:  # noqa: ASYNC110 - uvicorn offers a flag, no event
            await asyncio.sleep(0.01)


async def test_the_shadow_compares_and_never_answers(
    source: TinySource, other: TinySource, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tusou_service.experiment.shadow")
    async with (
        running(source, other=other, ab_mode="shadow", ab_share=1) as server,
        client_of(server) as client,
    ):
        answer = await search(client, x_user_key="user-1", x_arm="b")
        assert (answer.json()["item_ids"], answer.headers["x-arm"]) == ([0, 1], "a")
        ten = await client.post("/search/batch", json={"queries": ["a", "b"], "top_k": 10})
        assert ten.status_code == 200
        metrics = await until(client, 'tusou_shadow_queries_total{result="compared"}', 3)
        # 0, 1 and 3, 4 share nothing; 0..9 and 3..12 seven of ten.
        assert metrics["tusou_shadow_overlap_sum"] == pytest.approx(1.4)
        assert metrics['tusou_batch_size_sum{arm="a"}'] == 3
    (first, second) = [
        record.__dict__["fields"] for record in caplog.records if record.message == "shadow"
    ]
    assert first == {
        "index_version": "v1",
        "shadow_version": "w1",
        "overlap": [0.0],
        "same_first": [False],
    }
    assert second["overlap"] == [0.7, 0.7]


@pytest.mark.parametrize(
    ("trouble", "result"),
    [
        pytest.param(
            lambda pipeline: setattr(pipeline, "error", ZeroDivisionError("bug")),
            "failed",
            id="bug",
        ),
        pytest.param(
            lambda pipeline: setattr(pipeline, "first_id", 90), "unanswered", id="foreign-item"
        ),
    ],
)
async def test_errors_of_the_shadow_are_only_counted(
    source: TinySource, other: TinySource, trouble: Callable[[TinyPipeline], None], result: str
) -> None:
    trouble(other.pipeline)
    async with (
        running(source, other=other, ab_mode="shadow", ab_share=1) as server,
        client_of(server) as client,
    ):
        answer = await client.post("/search", json={"item_id": 7})
        assert answer.status_code == 200
        await until(client, f'tusou_shadow_queries_total{{result="{result}"}}', 1)
        assert (await search(client)).status_code == 200


async def test_searches_too_fast_for_the_shadow_are_dropped(
    source: TinySource, other: TinySource
) -> None:
    other.pipeline.gate = threading.Event()
    async with (
        running(source, other=other, ab_mode="shadow", ab_share=1, stall_s=60) as server,
        client_of(server) as client,
    ):
        await search(client)
        await asyncio.to_thread(other.pipeline.started.wait, 20)
        for _ in range(70):
            assert (await search(client)).status_code == 200
        metrics = await metrics_of(client)  # one search runs, 64 wait
        assert metrics['tusou_shadow_queries_total{result="dropped"}'] == 6
        other.pipeline.gate.set()
        await until(client, 'tusou_shadow_queries_total{result="compared"}', 65)


async def test_a_shadow_that_stalls_does_not_end_the_process(
    source: TinySource, other: TinySource
) -> None:
    other.pipeline.gate = threading.Event()
    async with (
        running(source, other=other, ab_mode="shadow", ab_share=1, stall_s=0.2) as server,
        client_of(server) as client,
    ):
        await search(client)
        await until(client, 'tusou_shadow_queries_total{result="unanswered"}', 1)
        assert (await search(client)).status_code == 200
        await until(client, 'tusou_shadow_queries_total{result="dropped"}', 1)
        assert (await client.get("/readyz")).status_code == 200
        assert not server.server.should_exit
        other.pipeline.gate.set()


async def test_a_shadow_that_does_not_load_does_not_affect_the_service(
    source: TinySource, other: TinySource
) -> None:
    other.error = CorruptBundle("differs")
    async with (
        running(source, other=other, ab_mode="shadow", ab_share=1) as server,
        client_of(server) as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
        assert (await search(client)).status_code == 200
        metrics = await metrics_of(client)
        assert metrics['tusou_shadow_queries_total{result="dropped"}'] == 1
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        reloaded = (await client.post("/admin/reload")).json()
        assert (reloaded["index_version"], reloaded["b"]) == ("v2", {"status": "failed"})


async def test_the_shadow_waits_until_the_first_engine_is_idle(
    source: TinySource, other: TinySource
) -> None:
    async with (
        running(source, other=other, ab_mode="shadow", ab_share=1) as server,
        client_of(server) as client,
    ):
        await search(client)
        await until(client, 'tusou_shadow_queries_total{result="compared"}', 1)
        source.pipeline.gate = gate = threading.Event()
        source.pipeline.started.clear()
        running_search = asyncio.create_task(search(client))
        await asyncio.to_thread(source.pipeline.started.wait, 20)
        assert server.engine.on_searched
        server.engine.on_searched(source.pipeline.queries_received[:1], [])
        await asyncio.sleep(0.05)
        assert len(other.pipeline.texts_received) == 1
        gate.set()
        assert (await running_search).status_code == 200


@pytest.mark.parametrize(
    ("ours", "theirs", "share"),
    [((), (), 1.0), ((1, 2), ("2", "1"), 1.0), ((1, 2, 3, 4), (1,), 0.25), ((1,), (2,), 0.0)],
)
def test_overlap(ours: tuple[int, ...], theirs: tuple[int | str, ...], share: float) -> None:
    def hits(ids: tuple[int | str, ...]) -> Hits:
        return Hits(ids, tuple(0.5 for _ in ids), truncated=False)

    assert overlap(hits(ours), hits(theirs)) == share
