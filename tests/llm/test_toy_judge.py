"""A model trained here judges a set through a real server, beside the truth, the openai package and
a proxy that spoils replies."""

import hashlib
import shutil
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from fault_proxy import Fault, running_proxy
from openai import OpenAI
from tusou_lab.evalset.attribute_judge import AttributeJudge
from tusou_lab.evalset.judge import JUDGMENTS, judge_set
from tusou_lab.evalset.llm_answers import read_grade
from tusou_lab.evalset.llm_judge import LlmSpec
from tusou_lab.evalset.llm_prompt import grade_messages, grade_schema
from tusou_lab.evalset.open_judge import open_llm_judge
from tusou_lab.evalset.pool import open_pool
from tusou_lab.evalset.set_folder import SetFolder

import benchmarks.toy_judge
from benchmarks.toy_judge.examples import GUIDELINE
from benchmarks.toy_judge.measure import agreements, write_set
from benchmarks.toy_judge.training import TrainingSpec
from benchmarks.toy_judge.world import ToyItem, draw_items, toy_domain
from tusou.cli.progress import NoProgress
from tusou.stages.endpoint_image import to_data_uri

if TYPE_CHECKING:
    from benchmarks.model_server import ModelServer

pytestmark = pytest.mark.timeout(1500)

CATEGORIES, IMAGES, QUERIES = 4, 120, 10
SPEC = TrainingSpec(short_steps=350, whole_steps=120, batch=48)
SOURCES = Path(benchmarks.toy_judge.__file__).parent


@pytest.fixture(scope="session")
def toy_judge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a judge of few categories, or take the one that was trained by the same code."""
    from benchmarks.toy_judge.make import make_toy_judge

    digest = hashlib.sha256(repr((CATEGORIES, SPEC)).encode())
    for path in sorted(SOURCES.glob("*.py")):
        digest.update(path.read_bytes())
    name = f"toy-judge-{digest.hexdigest()[:16]}"
    cache = getattr(request.config, "cache", None)
    folder: Path = cache.mkdir("toy-judge") / name if cache else tmp_path_factory.mktemp(name)
    if not (folder / "tokenizer.json").exists():
        items = draw_items(900, "train", 101, CATEGORIES)
        make_toy_judge(folder, toy_domain(1, CATEGORIES), items, SPEC)
    return folder


@pytest.fixture(scope="session")
def items() -> list[ToyItem]:
    return list(draw_items(IMAGES, "test", 23, CATEGORIES))


def judge(folder: SetFolder, url: str, model: Path, **options: float) -> str:
    bundle = open_pool(folder)
    spec = LlmSpec(url, str(model), in_flight=4, **options)  # type: ignore[arg-type]
    chosen = open_llm_judge(folder, bundle, spec, None)
    try:
        judge_set(folder, chosen, 1, NoProgress())
    finally:
        chosen.close()
    return chosen.name


@pytest.fixture(scope="session")
def judged(
    items: list[ToyItem],
    server: "ModelServer",
    toy_judge: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> SetFolder:
    domain = toy_domain(QUERIES, CATEGORIES)
    folder = write_set(tmp_path_factory.mktemp("judged"), domain, items)
    judge(folder, server.url, toy_judge, timeout=300)
    return folder


def test_agrees_with_the_truth_about_products_it_never_saw(
    judged: SetFolder, items: list[ToyItem]
) -> None:
    judge_set(judged, AttributeJudge(open_pool(judged)), 1, NoProgress())
    by_model = [each for each in judged.judgments(JUDGMENTS) if each.content]
    assert all(each.reason.startswith("图中是") for each in by_model if each.grade is not None)
    assert set(judged.guidelines(by_model[0].judge).values()) == {GUIDELINE}
    figures = agreements(judged, by_model[0].judge, items)["all"]
    assert figures["pairs"] == len(by_model)
    # Trained for longer, on more images, it reaches 0.9: `python -m benchmarks.toy_judge`.
    assert figures["weighted_kappa"] >= 0.4


def test_the_openai_package_gets_the_same_grades(
    judged: SetFolder, server: "ModelServer", toy_judge: Path
) -> None:
    bundle = open_pool(judged)
    texts = {query.query_id: query.text for query in judged.queries()}
    client = OpenAI(base_url=server.url, api_key="none", timeout=300)
    by_model = [each for each in judged.judgments(JUDGMENTS) if each.content]
    for each in by_model[:12]:
        data, _ = bundle.image(str(each.item_id))
        messages: Any = grade_messages(texts[each.query_id], GUIDELINE, to_data_uri(data, 448))
        schema: Any = {
            "type": "json_schema",
            "json_schema": {"name": "grades", "strict": True, "schema": grade_schema()},
        }
        completion = client.chat.completions.create(
            model=str(toy_judge),
            messages=messages,
            temperature=0,
            max_tokens=300,
            response_format=schema,
        )
        read = read_grade(completion.choices[0].message.content or "")
        assert (read.grade, read.reason) == (each.grade, each.reason)
    client.close()


FAULTS = [
    Fault("cut"),
    Fault("status", status=429, seconds=1),
    Fault("status", status=500),
    Fault("content", content='{"reason": "颜色不'),
    Fault("content", content='{"grade": 7}'),
    Fault("content", content="抱歉，我不能评价这张图片。"),
]


def test_spoiled_replies_change_no_judgment(
    judged: SetFolder, server: "ModelServer", toy_judge: Path, tmp_path: Path
) -> None:
    expected = {
        (each.query_id, each.item_id): (each.grade, each.reason)
        for each in judged.judgments(JUDGMENTS)
        if each.content
    }
    copied = SetFolder(Path(shutil.copytree(judged.path, tmp_path / "set")))
    (copied.path / "judgments.jsonl").unlink()
    number = 0

    def choose(body: dict[str, Any]) -> Fault | None:
        nonlocal number
        number += 1
        return FAULTS[number // 3 % len(FAULTS)] if number % 3 == 0 else None

    began = monotonic()
    with running_proxy(server.url, choose) as proxy:
        judge(copied, proxy.url, toy_judge, timeout=300)
    again = copied.judgments(JUDGMENTS)
    assert len(again) == len(expected)
    assert {(each.query_id, each.item_id): (each.grade, each.reason) for each in again} == expected
    assert proxy.spoiled.total() >= len(expected) // 4
    assert set(proxy.passed.values()) == {1}
    assert monotonic() - began > len(proxy.refusals)  # a second each
