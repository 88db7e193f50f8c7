"""A model proposes terms and writes queries through a server that refuses, errs and goes away."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from chat_server import ChatServer, Received, Reply, running_chat_server
from tusou_lab.evalset.cli.plan import plan as command
from tusou_lab.evalset.domain import Domain, read_domain
from tusou_lab.evalset.llm_asker import ANSWERS, AskSpec
from tusou_lab.evalset.plan_set import PlanReport, plan_set
from tusou_lab.evalset.set_folder import SetFolder
from typer.testing import CliRunner, Result

from tusou.attributes.table import AttributeTable
from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, InvalidRequest, OutputExists, Unavailable

KINDS, COLOURS = ("连衣裙", "衬衫", "帆布鞋"), ("红色", "蓝色", "黑色")
DOMAIN = {
    "name": "服饰",
    "about": "一家只卖女装的店",
    "concepts": [{"name": kind, "where": {"category": kind}} for kind in KINDS],
    "attributes": [
        {"name": "颜色", "values": [{"name": one, "where": {"tags": one}} for one in COLOURS]},
        {"name": "材质", "values": [{"name": "纯棉"}]},
    ],
    "budget": 20,
}
PROPOSAL = {
    "concepts": [
        {"name": "半身裙", "words": ["短裙", "半身裙", ""]},
        "针织衫",
        {"name": "连衣裙", "words": []},
        {"name": "长" * 41},
        7,
    ],
    "attributes": [
        {"name": "图案", "values": ["条纹", "格子", "条纹"]},
        {"name": "颜色", "values": ["红色"]},
        "无",
    ],
}


@pytest.fixture(scope="module")
def table() -> AttributeTable:
    rows = [{"category": kind, "tags": [colour]} for kind in KINDS for colour in COLOURS]
    return AttributeTable.from_rows({"category": "string", "tags": "strings"}, rows)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with running_chat_server() as running:
        running.answer = answer
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> SetFolder:
    return SetFolder(tmp_path / "set")


def asked_for(request: Received) -> dict[str, list[str]]:
    """Return what a question to write says, by the word before the colon."""
    fields: dict[str, list[str]] = {}
    for line in request.text.splitlines():
        name, _, value = line.partition("：")
        fields.setdefault(name, []).append(value.partition("，或")[0].strip('"'))
    return fields


def answer(request: Received) -> Reply:
    """Propose terms, or write texts that ask for exactly what is wanted."""
    fields = asked_for(request)
    if "写法" not in fields:
        return said(PROPOSAL)
    (concept,), stated = fields["要找的东西"], "".join(fields.get("要求", []))
    texts = [f"{stated}{concept}", f"求推荐{stated}{concept}", f"{concept} {stated}"]
    if refused := fields.get("不要"):
        texts = [f"{text}，不要{refused[0]}的" for text in texts]
    if fields["写法"][0].startswith("打错字"):
        texts = [f"{stated}{concept[0]}{concept[0]}{concept[2:]}"]
    return said({"queries": texts})


def said(value: object) -> Reply:
    return Reply(json.dumps(value, ensure_ascii=False))


def plan(
    folder: SetFolder,
    server: ChatServer,
    table: AttributeTable | None,
    domain: dict[str, object] | None = None,
    *,
    force: bool = False,
    patience: float = 10,
) -> PlanReport:
    spec = AskSpec(server.url, "小模型", in_flight=4, patience=patience)
    described = Domain.model_validate(domain or DOMAIN)
    return plan_set(folder, described, table, 1, NoProgress(), model=spec, force=force)


def test_the_model_writes_in_every_style_and_is_named_with_its_prompt(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    plan(folder, server, table)
    queries = folder.queries()
    assert len(queries) == 20
    assert len({each.text for each in queries}) == 20
    (author,) = {each.author for each in queries}
    name, digest = author.split("@")
    assert (name, len(digest)) == ("小模型", 12)
    assert {each.style for each in queries} == {"short", "sentence", "refusal", "typo"}
    for each in queries:
        assert each.concept in KINDS
        if each.style == "typo":
            assert each.concept not in each.text
        else:
            assert each.concept in each.text
        if "纯棉" in each.text:
            assert each.wanted is None
        else:
            assert each.wanted is not None
            assert each.concept_filter == {"category": each.concept}
    assert all("一家只卖女装的店" in request.text for request in server.received)
    other = plan(folder, server, table, {**DOMAIN, "about": "另一家店"}, force=True)
    assert set(other.counts.authors) != {author}


def test_the_card_says_what_there_is(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    written = [{"text": "小香风外套", "person": "李雷", "concept": "外套"}]
    counts = plan(folder, server, table, {**DOMAIN, "queries": written}).counts
    stored = folder.plan()
    assert stored["authors"] == counts.authors
    assert sum(counts.authors.values()) == sum(counts.styles.values()) == counts.queries == 20
    assert counts.authors["person:李雷"] == counts.concepts["外套"] == 1
    assert sum(counts.concepts.values()) == 20
    assert counts.terms == {"given": (3, 4)}
    card = (folder.path / "plan.md").read_text("utf-8")
    assert "20 of 20 queries, seed 1." in card
    assert "| person:李雷 | 1 |" in card
    short = [len(each.text) for each in folder.queries() if each.style == "short"]
    assert counts.lengths["short"].shortest == min(short)
    assert f"| short | {len(short)} | {min(short)} |" in card


def test_a_rerun_asks_nothing_and_plans_the_same(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    first = plan(folder, server, table)
    asked = len(server.received)
    with pytest.raises(OutputExists):
        plan(folder, server, table)
    again = plan(folder, server, table, force=True)
    assert len(server.received) == asked
    assert again.plan.queries == first.plan.queries
    assert again.cost is not None
    assert first.cost is not None
    assert (again.cost.questions, again.cost.kept) == (0, first.cost.questions)


def test_what_was_answered_before_a_server_went_away_is_not_asked_again(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    left = threading.Semaphore(6)

    def leaving(request: Received) -> Reply:
        return answer(request) if left.acquire(blocking=False) else Reply(status=404)

    server.answer = leaving
    with pytest.raises(Unavailable):
        plan(folder, server, table, patience=0.2)
    assert not (folder.path / "plan.json").exists()
    path = folder.path / ANSWERS
    kept = path.read_bytes()
    assert 1 <= kept.count(b"\n") <= 6
    path.write_bytes(kept + b'{"key": "ab')  # a kill cut a line off
    server.answer = answer
    server.received.clear()
    report = plan(folder, server, table)
    assert report.counts.queries == 20
    assert report.cost is not None
    assert report.cost.kept == kept.count(b"\n")
    texts = Counter(request.text for request in server.received)
    assert set(texts.values()) == {1}
    keys = [json.loads(line)["key"] for line in path.read_bytes().splitlines()]
    assert len(keys) == len(set(keys)) == len(texts) + kept.count(b"\n")


def test_limits_and_errors_of_the_server_lose_nothing(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    lock, seen = threading.Lock(), Counter[str]()

    def moody(request: Received) -> Reply:
        with lock:
            seen[request.text] += 1
            number, first = sum(seen.values()), seen[request.text] == 1
        if first and number % 4 == 0:
            return Reply(status=429, headers={"Retry-After": "0"})
        return Reply(status=500) if first and number % 5 == 0 else answer(request)

    server.answer = moody
    assert plan(folder, server, table).counts.queries == 20


def test_a_question_that_the_server_refuses_stops_no_other(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    def refusing(request: Received) -> Reply:
        if '"帆布鞋"' in request.text and "写法：整句" in request.text:
            return Reply(status=413, body=b'{"error": {"message": "no"}}')
        return answer(request)

    server.answer = refusing
    report = plan(folder, server, table, {**DOMAIN, "budget": 30})
    assert report.cost is not None
    assert report.cost.unusable >= 1
    assert report.counts.left_out["no usable answer of the model"] >= 1
    asked = [each for each in report.plan.queries if each.style == "sentence"]
    assert asked
    assert not any(each.concept == "帆布鞋" for each in asked)
    assert report.counts.queries == 30


def test_refusals_and_nonsense_are_asked_again_then_counted(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    lock, seen = threading.Lock(), Counter[str]()

    def odd(request: Received) -> Reply:
        with lock:
            seen[request.text] += 1
            tries = seen[request.text]
        concept = asked_for(request)["要找的东西"][0]
        if concept == "帆布鞋":
            return Reply("抱歉，我不能写这个。")
        if concept == "衬衫" and tries < 3:
            return Reply('{"queries": [')
        if concept == "衬衫":
            return answer(request)
        return said({"queries": ["```json", "红" * 70 + concept]})

    server.answer = odd
    report = plan(folder, server, table, {**DOMAIN, "styles": {"short": 1}})
    left_out = report.counts.left_out
    assert {each.concept for each in report.plan.queries} == {"衬衫"}
    assert left_out["no usable answer of the model"] > 1
    assert left_out["not a text that people type"] == left_out["too long for its style"] > 1
    for text, tries in seen.items():
        assert tries == (1 if "连衣裙" in text else 3)
    assert report.cost is not None
    assert report.cost.unusable == sum("帆布鞋" in text for text in seen)
    kept = (folder.path / ANSWERS).read_text("utf-8")
    assert "抱歉，我不能写这个。" in kept
    total = len(server.received)
    plan(folder, server, table, {**DOMAIN, "styles": {"short": 1}}, force=True)
    assert len(server.received) == total


def test_near_duplicates_are_left_out_and_the_questions_are_bounded(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    server.answer = lambda _: said({"queries": ["红色的连衣裙", "红色的 连衣裙"]})
    report = plan(folder, server, table, {**DOMAIN, "styles": {"short": 1}})
    assert [each.text for each in report.plan.queries] == ["红色的连衣裙"]
    assert report.counts.left_out["said already"] > 1
    assert len(server.received) <= 3 * 20


def test_proposed_terms_are_for_review_and_are_used(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    proposing = {**DOMAIN, "propose": {"concepts": 3, "attributes": 2, "values": 2}}
    report = plan(folder, server, table, proposing)
    reviewed = read_domain(folder.path / "domain.yaml")
    assert [term.name for term in reviewed.concepts] == [*KINDS, "半身裙", "针织衫"]
    assert reviewed.concepts[3].words == ("短裙",)
    assert {term.source for term in reviewed.concepts} == {None, reviewed.concepts[3].source}
    assert str(reviewed.concepts[3].source).startswith("小模型@")
    assert [attribute.name for attribute in reviewed.attributes] == ["颜色", "材质", "图案"]
    assert [term.name for term in reviewed.attributes[2].values] == ["条纹", "格子"]
    assert reviewed.propose is None
    proposal = server.received[0].text
    assert "最多 3 个 concepts、2 个 attributes，每个最多 2 个 values" in proposal
    assert '"连衣裙"' in proposal
    source = str(reviewed.concepts[3].source)
    assert report.counts.terms == {"given": (3, 4), source: (2, 2)}
    asked = len(server.received)
    again = plan_set(
        folder,
        reviewed,
        table,
        1,
        NoProgress(),
        model=AskSpec(server.url, "小模型"),
        force=True,
    )
    assert again.plan.queries == report.plan.queries
    assert len(server.received) == asked


def test_a_domain_without_concepts_is_proposed_with_titles_as_examples(
    folder: SetFolder, server: ChatServer
) -> None:
    titles = ["条纹半身裙 女", "格子针织衫", ""]
    titled = AttributeTable.from_rows({"title": "string"}, [{"title": each} for each in titles])
    bare = {"name": "女装", "from_titles": {"concepts": 0, "values": 0}, "budget": 5}
    report = plan(folder, server, titled, bare)
    assert "条纹半身裙 女" in server.received[0].text
    assert {each.concept for each in report.plan.queries} <= {"半身裙", "针织衫", "连衣裙"}
    assert not any("格子半身裙" in each.text for each in report.plan.queries)


def test_a_model_that_proposes_nothing_is_named(folder: SetFolder, server: ChatServer) -> None:
    server.answer = lambda _: said({"concepts": [], "attributes": []})
    with pytest.raises(BadDataset, match="小模型 proposed no concept of the domain '女装'"):
        plan(folder, server, None, {"name": "女装"})
    assert len(server.received) == 3
    proposing = Domain.model_validate({"name": "女装", "propose": {}})
    with pytest.raises(InvalidRequest, match="give --llm and --model"):
        plan_set(folder, proposing, None, 1, NoProgress())


def run(*words: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_asks_with_the_key_and_reports(server: ChatServer, tmp_path: Path) -> None:
    (tmp_path / "domain.json").write_text(json.dumps(DOMAIN), "utf-8")
    (tmp_path / "key").write_text("geheim\n", "utf-8")
    options = ("--out", tmp_path / "set", "--llm", server.url, "--model", "小模型")
    key = ("--key-file", tmp_path / "key")
    done = run(tmp_path / "domain.json", *options, *key)
    assert done.exit_code == 0, done.output
    assert "20 of 20 queries planned" in done.stdout
    assert {request.headers["Authorization"] for request in server.received} == {"Bearer geheim"}
    again = json.loads(run(tmp_path / "domain.json", *options, *key, "--force", "--json").stdout)
    assert (again["queries"], again["model"]["questions"]) == (20, 0)
    assert again["model"]["kept"] == len({request.text for request in server.received})
    assert run(tmp_path / "domain.json", *options[:4]).exit_code == 2


def test_a_damaged_file_of_answers_is_named(
    folder: SetFolder, server: ChatServer, table: AttributeTable
) -> None:
    plan(folder, server, table)
    path = folder.path / ANSWERS
    path.write_bytes(b'{"key": 3}\n' + path.read_bytes())
    with pytest.raises(BadDataset, match=r"answers.jsonl:1: is not an answer"):
        plan(folder, server, table, force=True)
