"""The client commands: arguments, output and exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from reading import write_file
from tusou_client import cli
from typer.testing import CliRunner, Result

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    app = typer.Typer()
    for verb in (cli.query, cli.replay, cli.load):
        app.command()(verb)

    def run(*words: object) -> Result:
        return CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(word) for word in words])

    return run


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"query_id": 1, "query_text": "裙"}\n{"query_id": 2, "query_text": "鞋"}\n')
    return path


def test_query_prints_rank_id_and_score(run: Run, server, service) -> None:
    result = run("query", "裙", "--url", server.url, "--top-k", 2)
    first, second = service.hits("裙", 2)["item_ids"]
    assert result.stdout == f"1\t{first}\t0.9000\n2\t{second}\t0.8990\n"
    assert result.exit_code == 0


def test_query_as_json(run: Run, server, service) -> None:
    result = run("query", "裙" * 60, "--url", server.url, "--top-k", 1, "--json")
    assert json.loads(result.stdout) == {
        "item_ids": service.hits("裙" * 60, 1)["item_ids"],
        "scores": [0.9],
        "truncated": True,
        "index_version": "v1",
        "positive": None,
        "negative": None,
        "version_changed": False,
        "attributes": [],
        "others": [],
        "facets": {},
        "matching_items": None,
        "adjusted_scores": [],
        "stage_scores": [],
        "relevance": [],
        "answer_relevance": None,
        "matched": None,
        "rerank": None,
        "unknown_share": 0.0,
    }


def test_a_query_in_an_unknown_language_is_pointed_out(
    run: Run, server, service, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = service.hits
    shares = {"A dog in the snow": 1.0, "红裙 α": 0.33}
    monkeypatch.setattr(
        service, "hits", lambda query, k: hits(query, k) | {"unknown_share": shares[query]}
    )
    told = [run("query", query, "--url", server.url).stderr for query in shares]
    sentence = "The query is most likely in a language that the model does not know.\n"
    assert told == [sentence, ""]


def test_query_warns_of_a_cut_query_beside_the_result(run: Run, server) -> None:
    result = run("query", "裙" * 60, "--url", server.url, "--top-k", 1)
    assert "its end was ignored" in result.stderr
    assert result.stdout.count("\n") == 1


def test_query_sends_every_option(run: Run, server, service, tmp_path: Path) -> None:
    image = tmp_path / "shoe.jpg"
    image.write_bytes(b"an image")
    words = ["--image", image, "--item", "30002946", "--negative", "碎花", "--no-interpret"]
    words += ["--skip", "adjust", "--skip", "rerank", "--explain", "--min-relevance", "0.25"]
    words += ["--weight", "query=2", "--weight", "image=.5", "--weight", "item=1e-1"]
    words += ["--weight", "negative=10", "--exclude", "7", "--exclude", "8"]
    assert run("query", "裙", "--url", server.url, *words).exit_code == 0
    assert service.posts[0][2] == {
        "query": "裙",
        "top_k": 10,
        "image": "YW4gaW1hZ2U=",
        "item_id": "30002946",
        "negative": "碎花",
        "exclude": ["7", "8"],
        "interpret": False,
        "adjust": False,
        "rerank": False,
        "explain": True,
        "min_relevance": 0.25,
        "query_weight": 2.0,
        "image_weight": 0.5,
        "item_weight": 0.1,
        "negative_weight": 10.0,
    }


@pytest.mark.parametrize("text", ["{", "[1]", "price", '"price"', "[" * 5000])
def test_a_filter_that_is_no_json_object_is_an_error(
    run: Run, server, service, queries: Path, tmp_path: Path, text: str
) -> None:
    replay = ["replay", queries, "--out", tmp_path / "pred.jsonl"]
    for words in (["query", "裙"], replay):
        result = run(*words, "--url", server.url, "--filter", text)
        assert (result.exit_code, service.posts) == (1, [])
        assert result.stderr.startswith("invalid_request: --filter is a JSON object")


def test_query_needs_a_text_an_image_or_an_item(run: Run) -> None:
    result = run("query", "--negative", "碎花")
    assert result.exit_code == 2
    assert "Give a text, --image, --item" in result.stderr


@pytest.mark.parametrize("weight", ["query", "query=", "query=0", "query=nan", "query=11", "x=1"])
def test_a_wrong_weight_is_an_error(run: Run, server, service, weight: str) -> None:
    result = run("query", "裙", "--url", server.url, "--weight", weight)
    assert (result.exit_code, service.posts) == (1, [])
    assert result.stderr.startswith(f"invalid_request: --weight {weight}: ")


def test_a_key_is_read_from_its_file(run: Run, server, service, tmp_path: Path) -> None:
    key = tmp_path / "key"
    # As editors and PowerShell on Windows write it, and the file of a service itself.
    for content, encoding in (
        ("secret-7\n", "ascii"),
        ("secret-7\r\n", "utf-8-sig"),
        ("secret-7\r\n", "utf-16"),
        ("# 搜索\nsecret-7 search\nsecret-8 admin\n", "utf-8"),
    ):
        key.write_bytes(content.encode(encoding))
        run("query", "裙", "--url", server.url, "--api-key-file", key)
    assert [sent["Authorization"] for _, sent, _ in service.posts] == ["Bearer secret-7"] * 4


def test_a_file_that_holds_no_key_is_an_error(run: Run, server, service, tmp_path: Path) -> None:
    for content, code in (("密钥", "invalid_input"), ("# none\n", "invalid_request")):
        (tmp_path / "key").write_text(content)
        result = run("query", "裙", "--url", server.url, "--api-key-file", tmp_path / "key")
        assert (result.exit_code, result.stderr.split(":")[0]) == (1, code)
    assert service.posts == []


def test_a_refusal_is_one_line_and_exit_1(run: Run, server, service) -> None:
    service.refuses = {" ": "empty_query"}
    result = run("query", " ", "--url", server.url)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"empty_query: {server.url} answered: Nothing is left.\n"


def test_replay(run: Run, server, service, queries: Path, tmp_path: Path) -> None:
    out = tmp_path / "pred.jsonl"
    result = run("replay", queries, "--out", out, "--url", server.url)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"2 rows from index v1 -> {out} in ")
    assert result.stdout.endswith(" s; refusals in queries subtracted\n")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["item_ids"] for row in rows] == [
        service.hits(query, 10)["item_ids"] for query in ("裙", "鞋")
    ]


def test_replay_as_json(run: Run, server, queries: Path, tmp_path: Path) -> None:
    out = tmp_path / "pred.jsonl"
    report = json.loads(run("replay", queries, "--out", out, "--url", server.url, "--json").stdout)
    assert report.pop("seconds") > 0
    assert report == {
        "out": str(out),
        "rows": 2,
        "resumed": 0,
        "index_version": "v1",
        "interpret": True,
        "not_reranked": 0,
        "unknown_language": 0,
    }


def test_replay_names_every_bad_line(run: Run, server, queries: Path) -> None:
    queries.write_text("{\n\n{\n")
    result = run("replay", queries, "--out", queries.with_name("pred"), "--url", server.url)
    assert result.exit_code == 1
    assert result.stderr.startswith("bad_queries: 3 lines cannot be used; nothing was sent.\n")
    assert "line 1: " in result.stderr
    assert "line 2: blank" in result.stderr


def test_replay_of_a_missing_file_is_wrong_usage(run: Run, server, tmp_path: Path) -> None:
    result = run("replay", tmp_path / "none", "--out", tmp_path / "pred", "--url", server.url)
    assert result.exit_code == 2


def test_load(run: Run, server, queries: Path) -> None:
    options = ("--rate", 100, "--duration", 0.03, "--queries", queries, "--url", server.url)
    result = run("load", *options)
    assert result.exit_code == 0
    summary, head, row = result.stdout.splitlines()
    assert summary.startswith("3 sent in 0.03 s, goodput 100/s, sent at most ")
    assert head.split("\t") == ["code", "status", "count", "p50_ms", "p90_ms", "p99_ms", "max_ms"]
    assert row.split("\t")[:3] == ["ok", "200", "3"]


def test_load_as_json(run: Run, server, queries: Path) -> None:
    options = ("--rate", 100, "--duration", 0.03, "--queries", queries, "--url", server.url)
    report = json.loads(run("load", *options, "--json").stdout)
    assert (report["sent"], report["goodput_per_s"]) == (3, 100.0)
    assert [row["code"] for row in report["outcomes"]] == ["ok"]


def test_no_interpret_is_sent_by_every_command(
    run: Run, server, service, queries: Path, tmp_path: Path
) -> None:
    options = ("--no-interpret", "--url", server.url)
    run("query", "裙", *options)
    result = run("replay", queries, "--out", tmp_path / "pred.jsonl", *options)
    run("load", "--rate", 100, "--duration", 0.01, "--queries", queries, *options)
    assert [path for path, _, _ in service.posts] == ["/search", "/search/batch", "/search"]
    assert [body["interpret"] for _, _, body in service.posts] == [False] * 3
    assert result.stdout.endswith(" s; refusals in queries searched as written\n")


def test_load_takes_a_dataset_as_replay_does(run: Run, server, service, tmp_path: Path) -> None:
    write_file(tmp_path / "images" / "1.jpg", "x")
    write_file(tmp_path / "captions.json", '[{"image": "1.jpg", "captions": ["一只狗", "狗在跑"]}]')
    write_file(tmp_path / "Flickr_8k.testImages.txt", "1.jpg\n")
    options = ("--rate", 100, "--duration", 0.04, "--url", server.url)
    assert run("load", "--queries", f"{tmp_path}#test", *options).exit_code == 0
    assert service.query_counts == {"一只狗": 2, "狗在跑": 2}
    result = run("load", "--queries", f"{tmp_path}/gone#test", *options)
    assert (result.exit_code, "does not exist" in result.stderr) == (2, True)
