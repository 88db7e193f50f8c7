"""A model judges a set through a server that is slow, away, over its limit, or returns nonsense."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import pytest
import typer
from chat_server import ChatServer, Received, Reply, running_chat_server
from photo_sets import build_photos, judge
from tusou_lab.evalset.cli.judge import judge as judge_command
from tusou_lab.evalset.drawing import Drawing
from tusou_lab.evalset.judge import JUDGMENTS
from tusou_lab.evalset.llm_answers import read_grade, read_guideline
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import pool_systems
from tusou_lab.evalset.set_folder import SetFolder
from typer.testing import CliRunner

from tusou.cli.progress import NoProgress
from tusou.core.errors import Unavailable

ITEMS = 12
EVERYTHING = Drawing(depth=ITEMS, certain=ITEMS, ranked=0, unranked=1, seed=1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a bundle of photos, of which two have the same bytes."""
    return build_photos(tmp_path_factory.mktemp("photos"), [*range(ITEMS - 1), 0])


@pytest.fixture
def folder(tmp_path: Path, bundle: Path) -> SetFolder:
    created = SetFolder(tmp_path / "set")
    queries = [
        PlannedQuery(1, "红色斜挎包", "包", "short", "template"),
        PlannedQuery(2, "有没有真皮的包", "包", "sentence", "template"),
    ]
    plan = {"domain": {"name": "包", "guideline": "只看包本身，不看模特"}, "seed": 1}
    created.create(plan, queries, force=False)
    pool_systems(created, bundle, [bundle], EVERYTHING, NoProgress())
    return created


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with running_chat_server() as running:
        running.answer = answer
        yield running


def is_grade(request: Received) -> bool:
    return bool(request.images)


def answer(request: Received) -> Reply:
    """Write a guideline, or grade an image by the length of its data."""
    if not is_grade(request):
        return Reply(json.dumps({"guideline": "包型和颜色都对的是 3 级。"}, ensure_ascii=False))
    grade = len(request.images[0]) % 4
    return Reply(json.dumps({"reason": f"长度 {grade}", "grade": grade}, ensure_ascii=False))


def test_every_pair_is_graded_by_a_guideline_that_was_written_first(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    chosen = judge(folder, bundle, server.url)
    judgments = folder.judgments(JUDGMENTS)
    assert len({(each.query_id, each.item_id) for each in judgments}) == 2 * ITEMS
    assert all(each.grade in range(4) and each.reason.startswith("长度") for each in judgments)
    assert {each.judge for each in judgments} == {chosen.name}
    guidelines = [request for request in server.received if not is_grade(request)]
    assert len(guidelines) == 2
    assert all("只看包本身" in request.text for request in guidelines)
    grades = [request for request in server.received if is_grade(request)]
    assert all("包型和颜色都对的是 3 级" in request.text for request in grades)
    assert folder.guidelines(chosen.name) == dict.fromkeys((1, 2), "包型和颜色都对的是 3 级。")


def test_equal_images_are_asked_about_once(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    chosen = judge(folder, bundle, server.url)
    asked = Counter(
        (request.text, request.images[0]) for request in server.received if is_grade(request)
    )
    assert len(asked) == 2 * (ITEMS - 1)
    assert set(asked.values()) == {1}
    assert chosen.cost.reused == 2
    by_pair = {(each.query_id, each.item_id): each for each in folder.judgments(JUDGMENTS)}
    for query in (1, 2):
        first, copy = by_pair[query, "包-0"], by_pair[query, f"包-{ITEMS - 1}"]
        assert (first.grade, first.content) == (copy.grade, copy.content)


def test_a_second_run_asks_nothing_and_a_repeat_asks_again(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    judge(folder, bundle, server.url)
    asked = len(server.received)
    judge(folder, bundle, server.url)
    assert len(server.received) == asked
    judge(folder, bundle, server.url, repeats=2)
    assert len(server.received) == asked + 2 * (ITEMS - 1)
    repeats = Counter(each.repeat for each in folder.judgments(JUDGMENTS))
    assert repeats == {0: 2 * ITEMS, 1: 2 * ITEMS}


def test_the_tokens_that_a_judgment_cost_are_kept(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    def with_usage(request: Received) -> Reply:
        message = {"role": "assistant", "content": answer(request).text}
        usage = {"prompt_tokens": 300, "completion_tokens": 11, "total_tokens": 311}
        body = {"choices": [{"index": 0, "message": message}], "usage": usage}
        return Reply(body=json.dumps(body).encode())

    server.answer = with_usage
    chosen = judge(folder, bundle, server.url)
    tokens = Counter(each.tokens for each in folder.judgments(JUDGMENTS))
    assert tokens == {311: 2 * (ITEMS - 1), 0: 2}
    assert chosen.cost.tokens == 311 * 2 * ITEMS
    app = typer.Typer()
    app.command()(judge_command)
    arguments = [str(folder.path), "--llm", server.url, "--model", "小模型"]
    prices = ["--price-in", "2.5", "--price-out", "10", "--json"]
    again = CliRunner().invoke(app, [*arguments, *prices])
    assert again.exit_code == 0, again.output
    report = json.loads(again.stdout)
    assert (report["known"], report["judged"], report["questions"]) == (2 * ITEMS, 0, 0)
    assert report["tokens_in_all"] == 311 * 2 * ITEMS
    assert report["price"] == 0
    assert report["price_in_all"] == pytest.approx(2 * ITEMS * (300 * 2.5 + 11 * 10) / 1e6)
    judge(folder, bundle, server.url, repeats=2)
    later = json.loads(CliRunner().invoke(app, [*arguments, *prices]).stdout)
    assert (later["known"], later["questions"]) == (2 * ITEMS, 0)
    assert later["tokens_in_all"] == 311 * (2 * ITEMS + 2 * (ITEMS - 1))  # also of the repeats
    refused = CliRunner().invoke(app, [*arguments, "--price-in", "2.5"])
    assert refused.exit_code == 1
    assert "--price-out" in refused.output


def test_another_temperature_is_another_judge(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    names = [judge(folder, bundle, server.url, temperature=each).name for each in (0, 0.7)]
    assert names[1] == f"{names[0]}@t0.7"
    temperatures = Counter(request.body["temperature"] for request in server.received)
    assert temperatures == {0: 2 * ITEMS, 0.7: 2 * ITEMS}


def test_nonsense_is_asked_again_then_recorded_without_a_grade(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    lock, counts = Lock(), Counter[str]()

    def sometimes(request: Received) -> Reply:
        if not is_grade(request):
            return Reply("说明：包要对。")
        with lock:
            counts[request.text + request.images[0]] += 1
            count = counts[request.text + request.images[0]]
        if "有没有真皮" in request.text:
            return Reply("抱歉，我不能评价这张图片。")
        return Reply('{"grade": 7}' if count < 3 else '{"reason": "可以", "grade": 2}')

    server.answer = sometimes
    chosen = judge(folder, bundle, server.url)
    by_query = {1: set(), 2: set()}
    for each in folder.judgments(JUDGMENTS):
        by_query[each.query_id].add((each.grade, each.reason))
    assert by_query == {1: {(2, "可以")}, 2: {(None, "抱歉，我不能评价这张图片。")}}
    assert set(counts.values()) == {3}
    assert chosen.cost.refused == ITEMS - 1
    assert set(folder.guidelines(chosen.name).values()) == {"说明：包要对。"}


def test_a_limit_of_requests_and_errors_of_the_server_lose_nothing(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    lock, seen = Lock(), Counter[str]()

    def moody(request: Received) -> Reply:
        with lock:
            seen[str(request.body)] += 1
            number, first = sum(seen.values()), seen[str(request.body)] == 1
        if first and number % 5 == 0:
            return Reply(status=429, headers={"Retry-After": "0"})
        if first and number % 7 == 0:
            return Reply(status=500)
        return answer(request)

    server.answer = moody
    judge(folder, bundle, server.url)
    judgments = folder.judgments(JUDGMENTS)
    assert len(judgments) == len({(each.query_id, each.item_id) for each in judgments}) == 24
    assert all(each.grade is not None for each in judgments)


def test_a_server_that_goes_away_ends_the_run_which_goes_on_later(
    folder: SetFolder, bundle: Path, server: ChatServer
) -> None:
    graded = threading.Semaphore(5)

    def leaving(request: Received) -> Reply:
        if is_grade(request) and not graded.acquire(blocking=False):
            return Reply(status=404)
        return answer(request)

    server.answer = leaving
    with pytest.raises(Unavailable):
        judge(folder, bundle, server.url, patience=0.2)
    kept = {(each.query_id, each.item_id) for each in folder.judgments(JUDGMENTS)}
    assert 1 <= len(kept) <= 7
    server.answer = answer
    server.received.clear()
    judge(folder, bundle, server.url)
    judgments = folder.judgments(JUDGMENTS)
    assert len(judgments) == len({(each.query_id, each.item_id) for each in judgments}) == 24
    assert not [request for request in server.received if not is_grade(request)]


@pytest.mark.parametrize(
    ("text", "grade", "reason"),
    [
        ('{"reason": "颜色不符", "grade": 1}', 1, "颜色不符"),
        ('```json\n{"reason": "好", "grade": 3}\n```', 3, "好"),
        ('<think>{"grade": 0}</think>{"reason": "{颜色}对", "grade": 3}', 3, "{颜色}对"),
        ("2", 2, ""),
        ('{"reason": "一半", "grade": 1.5}', None, '{"reason": "一半", "grade": 1.5}'),
        ('{"reason": "颜色不', None, '{"reason": "颜色不'),
        ('{"grade": 9}', None, '{"grade": 9}'),
        ("", None, ""),
    ],
)
def test_grades_are_read_from_what_models_write(text: str, grade: int | None, reason: str) -> None:
    read = read_grade(text)
    assert (read.grade, read.reason) == (grade, reason)


def test_guidelines_are_read_from_json_or_plain_text() -> None:
    assert read_guideline('{"guideline": "包型对的 3 级"}') == "包型对的 3 级"
    assert read_guideline("<think>想想</think> 包型对的 3 级 ") == "包型对的 3 级"
    assert read_guideline('{"guideline": "包型') is None
    assert read_guideline("") is None
