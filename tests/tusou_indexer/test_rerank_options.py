"""Rerankers that `tusou stages` gives a bundle: endpoints, refusals, and what they leave."""

from pathlib import Path
from shutil import copytree

import pytest
from chat_server import ChatServer, Received, Reply, listed, running_chat_server
from tusou_indexer import stages_cli
from typer import Typer
from typer.testing import CliRunner

import tusou
from tusou.bundle.bundle import Bundle
from tusou.core.errors import InvalidRequest
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query
from tusou.stages.endpoint_spec import EndpointAccess, check_url

URL = "http://127.0.0.1:9/v1"


@pytest.fixture
def bundle(three_bundles: list[Path], tmp_path: Path) -> Path:
    return Path(copytree(three_bundles[0], tmp_path / "bundle"))


def stages(*arguments: object) -> tuple[int, str]:
    app = Typer()
    app.command()(stages_cli.stages)
    result = CliRunner().invoke(app, [*map(str, arguments)])
    return result.exit_code, result.output


def test_an_endpoint_is_recorded(bundle: Path) -> None:
    options = ["--rerank-url", URL, "--rerank-model", "qwen-vl", "--rerank-mode", "pointwise"]
    code, output = stages(bundle, *options, "--rerank-depth", 30, "--rerank-deadline-ms", 900)
    assert code == 0, output
    record = Bundle.open(bundle).manifest.stages.rerank
    assert record is not None
    assert record.model_dump() == {
        "kind": "endpoint",
        "model": "qwen-vl",
        "sha256": None,
        "depth": 30,
        "deadline_ms": 900,
        "weight": 0.5,
        "options": {
            "url": URL,
            "mode": "pointwise",
            "group_size": 10,
            "image_side": 448,
            "fields": "",
            "connections": 8,
        },
    }
    assert stages(bundle, "--no", "rerank")[0] == 0
    assert Bundle.open(bundle).manifest.stages.rerank is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--rerank-url", URL], "--rerank-model", id="no-model"),
        pytest.param(
            ["--rerank-url", "127.0.0.1:9", "--rerank-model", "m"], "is written like", id="url"
        ),
        pytest.param(
            ["--rerank-url", URL, "--rerank-model", "m", "--rerank-fields", "title"],
            "no attribute 'title'",
            id="field",
        ),
        pytest.param(["--rerank", "vectors"], "vectors:OTHER", id="no-other"),
        pytest.param(["--rerank-depth", "5"], "has no reranker", id="limits-alone"),
    ],
)
def test_refuses(bundle: Path, options: list[str], message: str) -> None:
    code, output = stages(bundle, *options)
    assert code == 1
    assert message in " ".join(output.split())


@pytest.mark.parametrize(
    "url",
    [
        "http://user:geheim@h/v1",
        "http://geheim@h/v1",
        "https://h/v1?api-key=geheim",
        "http://h/v1#geheim",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidRequest, match="TUSOU_RERANK_KEY_FILE") as caught:
        check_url(url)
    assert "geheim" not in str(caught.value)


def test_a_search_is_reranked_by_the_endpoint(bundle: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("sk-1\n")
    with running_chat_server() as chat:
        stages(
            bundle,
            "--rerank-url",
            URL,
            "--rerank-model",
            "tiny",
            "--rerank-depth",
            5,
            "--rerank-weight",
            1,
        )
        access = EndpointAccess(chat.url, key_file, tmp_path / "cache")
        pipeline = SearchPipeline.open(bundle, endpoint=access)
        text = Query.of_text("红色连衣裙", 5)
        plain = Query(text.parts, 5, rerank=False)
        (before,) = pipeline.search([plain]).hits
        last_first(chat, pipeline, before.item_ids[-1])
        (hits,) = pipeline.search([text]).hits
        (like_this,) = pipeline.search([Query((ItemPart("101"),), 5)]).hits
        assert (before.rerank, hits.rerank, like_this.rerank) == (None, "complete", None)
        assert hits.item_ids == (before.item_ids[-1], *before.item_ids[:-1])
        assert chat.received[0].headers["Authorization"] == "Bearer sk-1"
        chat.answer = lambda _: Reply(status=500)
        (again,) = pipeline.search([text]).hits
        assert again.item_ids == hits.item_ids  # from the cache
        cache = tmp_path / "cache"
        with tusou.open_bundle(bundle, rerank_url=chat.url, cache_dir=cache) as local:
            assert local.search("红色连衣裙", top_k=5).item_ids == hits.item_ids  # from the file
        pipeline.stages.reranker.close()  # type: ignore[union-attr]
    assert (tmp_path / "cache" / "rerank-grades.sqlite").is_file()


def test_a_search_whose_endpoint_is_away_has_the_order_of_the_index(bundle: Path) -> None:
    stages(bundle, "--rerank-url", URL, "--rerank-model", "tiny")
    pipeline = SearchPipeline.open(bundle)
    query = Query.of_text("红色连衣裙", 5)
    (plain,) = pipeline.search([Query(query.parts, 5, rerank=False)]).hits
    (hits,) = pipeline.search([query]).hits
    assert hits.rerank == "failed"
    assert (hits.item_ids, hits.scores) == (plain.item_ids, plain.scores)
    pipeline.stages.reranker.close()  # type: ignore[union-attr]


def last_first(chat: ChatServer, pipeline: SearchPipeline, item_id: object) -> None:
    """Let the server prefer one image, whatever its number."""
    from tusou.stages.endpoint_image import to_data_uri

    preferred = to_data_uri(pipeline.view.image(str(item_id))[0], 448)

    def answer(request: Received) -> Reply:
        return Reply(listed([3 if image == preferred else 0 for image in request.images]))

    chat.answer = answer
