"""A model judges a set through a proxy that cuts, delays and falsifies replies of its server."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Received, Reply, running_chat_server
from fault_proxy import Fault, running_proxy
from photo_sets import build_photos, judge
from tusou_lab.evalset.drawing import Drawing
from tusou_lab.evalset.judge import JUDGMENTS
from tusou_lab.evalset.judgment import Judgment
from tusou_lab.evalset.llm_judge import LlmSpec
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import pool_systems
from tusou_lab.evalset.set_folder import SetFolder

from tusou.cli.progress import NoProgress
from tusou.core.errors import InvalidRequest, Unavailable

pytestmark = pytest.mark.services

ITEMS = 10
EVERYTHING = Drawing(depth=ITEMS, certain=ITEMS, ranked=0, unranked=1, seed=1)
REFUSAL = "抱歉，我不能评价这张图片。"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_photos(tmp_path_factory.mktemp("photos"), range(ITEMS))


@pytest.fixture
def folder(tmp_path: Path, bundle: Path) -> SetFolder:
    created = SetFolder(tmp_path / "set")
    queries = [
        PlannedQuery(n, text, "包", "short", "template") for n, text in enumerate(("红包", "包"), 1)
    ]
    created.create({"domain": {"name": "包"}, "seed": 1}, queries, force=False)
    pool_systems(created, bundle, [bundle], EVERYTHING, NoProgress())
    return created


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with running_chat_server() as running:
        running.answer = answer
        yield running


def answer(request: Received) -> Reply:
    if not request.images:
        return Reply('{"guideline": "颜色对的是 3 级。"}')
    return Reply(json.dumps({"reason": "看图", "grade": grade_of(request.body)}))


def grade_of(body: dict[str, Any]) -> int:
    """Return the grade that the server gives to the image of a question."""
    return sum(image_of(body).encode()) % 4


def image_of(body: dict[str, Any]) -> str:
    parts = body["messages"][-1]["content"]
    return "".join(part["image_url"]["url"] for part in parts if part["type"] == "image_url")


def judged_once(folder: SetFolder) -> list[Judgment]:
    judgments = folder.judgments(JUDGMENTS)
    counts = Counter((each.query_id, each.item_id) for each in judgments)
    assert len(counts) == 2 * ITEMS
    assert set(counts.values()) == {1}
    return judgments


FAULTS = {
    "cut": Fault("cut"),
    "error": Fault("status", status=500),
    "limit": Fault("status", status=429, seconds=1),
    "slow": Fault("slow", seconds=2),
    "truncated": Fault("content", content='{"reason": "颜色不'),
    "seven": Fault("content", content='{"reason": "很好", "grade": 7}'),
    "word": Fault("content", content='{"reason": "很好", "grade": "three"}'),
    "prose": Fault("content", content="这张图片里是一个红色的包，很符合。"),
    "refusal": Fault("content", content=REFUSAL),
    "page": Fault("content", content="<html>502 Bad Gateway</html>"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_reply_that_is_spoiled_once_loses_nothing(
    kind: str, folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    def choose(body: dict[str, Any]) -> Fault | None:
        return FAULTS[kind] if image_of(body) and grade_of(body) % 2 else None

    with running_proxy(server.url, choose) as proxy:
        chosen = judge(folder, bundle, proxy.url, timeout=1.5 if kind == "slow" else 30)
    judgments = judged_once(folder)
    assert all(each.grade is not None and each.reason == "看图" for each in judgments)
    assert proxy.spoiled.total() >= 4
    assert set(proxy.passed.values()) == {1}  # nothing that has a grade is asked again
    grades = {grade_of(json.loads(body)) for body in proxy.passed}
    assert {each.grade for each in judgments} == grades
    assert chosen.cost.refused == 0
    for refused in proxy.refusals:  # others may be on their way
        assert not [each for each in proxy.arrivals if refused + 0.3 < each < refused + 0.9]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("content", content=REFUSAL, once=False), REFUSAL),
        (Fault("content", content='{"grade": 7}', once=False), '{"grade": 7}'),
        (Fault("status", status=400, once=False), "status 400: as the test says"),
        (Fault("status", status=413, once=False), "status 413: as the test says"),
    ],
)
def test_a_question_that_never_has_a_grade_is_recorded_and_ends_nothing(
    fault: Fault, reason: str, folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    bad: list[str] = []

    def choose(body: dict[str, Any]) -> Fault | None:
        image = image_of(body)
        if image and len(server.received) > 4 and not bad:
            bad.append(image)
        return fault if image in bad else None

    with running_proxy(server.url, choose) as proxy:
        chosen = judge(folder, bundle, proxy.url)
        asked = len(proxy.arrivals)
        judge(folder, bundle, proxy.url)
        assert len(proxy.arrivals) == asked  # a judgment without a grade is one, too
    without = [each for each in judged_once(folder) if each.grade is None]
    assert 1 <= len(without) <= 2  # a query or both
    assert all(reason in each.reason for each in without)
    assert chosen.cost.refused == len(without)


def test_a_model_that_the_server_does_not_know_judges_nothing(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    error = json.dumps({"error": {"message": "The model `小模型` does not exist"}}).encode()
    server.answer = lambda _: Reply(status=400, body=error)
    with pytest.raises(Unavailable, match="does not exist"):
        judge(folder, bundle, server.url, patience=0.5)
    assert folder.judgments(JUDGMENTS) == []


def test_a_refusal_beside_the_content_is_the_reason(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    message = {"role": "assistant", "content": None, "refusal": REFUSAL}
    refused = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
    server.answer = lambda request: Reply(body=refused) if request.images else answer(request)
    judge(folder, bundle, server.url)
    assert {(each.grade, each.reason) for each in judged_once(folder)} == {(None, REFUSAL)}


def test_the_address_holds_no_password() -> None:
    with pytest.raises(InvalidRequest, match="no user, password"):
        LlmSpec("http://a:b@127.0.0.1:1/v1", "小模型")
