"""Vectors written by `tusou embed`, indexed from their files, served, queried and evaluated."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
from drawing import image_bytes

import tusou
from tests.browser.serving import Site, serving

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


def run(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tusou", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=check)


@pytest.fixture(scope="module")
def folder(
    pool: Path, queries: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder with the bundle `plain`, and `bare`, made of its vectors alone."""
    folder = tmp_path_factory.mktemp("vectors")
    run("index", pool, "--model", tiny_model, "--out", folder / "plain", "--device", "cpu")
    run("embed", folder / "plain", "--out", folder / "items")
    run("embed", folder / "plain", "--queries", queries, "--out", folder / "queries")
    run(
        "index",
        *("--vectors", folder / "items" / "vectors.npy"),
        *("--ids", folder / "items" / "ids.txt"),
        *("--out", folder / "bare"),
    )
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    with serving(folder / "bare", folder / "log", TUSOU_TIMEOUT_MS="30000") as site:
        yield site


def refused(site: Site, path: str, fields: dict[str, object]) -> tuple[int, str]:
    with pytest.raises(HTTPError) as raised:
        site.call(path, fields)
    problem = json.loads(raised.value.read())
    raised.value.close()
    return raised.value.code, problem["code"]


def test_a_vector_is_searched_for_over_http(site: Site, folder: Path) -> None:
    vectors = np.load(folder / "items" / "vectors.npy")
    best = np.argsort(-(vectors @ vectors[3]))[:5] + 1000
    found: Any = site.call("/search", {"vector": (vectors[3] * 2).tolist(), "top_k": 5})
    assert found["item_ids"] == best.tolist()
    assert found["scores"][0] == pytest.approx(1, abs=1e-6)
    with tusou.Client(site.url) as client:
        assert client.search(vector=vectors[3], top_k=5).item_ids == tuple(best.tolist())
        mixed = client.search(vector=vectors[3], vector_weight=2, item_id=1004, top_k=3)
    with tusou.open_bundle(folder / "bare") as local:
        expected = local.search(vector=vectors[3], vector_weight=2, item_id=1004, top_k=3)
    assert mixed.item_ids == expected.item_ids


def test_texts_and_images_are_refused_over_http(site: Site) -> None:
    assert refused(site, "/search", {"query": "红裙"}) == (422, "no_encoder")
    assert refused(site, "/search/batch", {"queries": ["红裙", "鞋"]}) == (422, "no_encoder")
    assert refused(site, "/v1/embeddings", {"input": "红裙"}) == (422, "no_encoder")
    with tusou.Client(site.url) as client, pytest.raises(tusou.errors.TusouError) as raised:
        client.search(image=image_bytes(1))
    assert raised.value.code == "no_encoder"
    partial: Any = site.call("/search/batch", {"queries": ["红裙"], "partial": True})
    assert partial["results"][0]["problem"]["code"] == "no_encoder"


@pytest.mark.parametrize(
    "vector",
    [
        pytest.param([1.0, 2.0], id="shorter"),
        pytest.param([0.0] * 64, id="zeros"),
        pytest.param([], id="empty"),
        pytest.param("!", id="not-base64"),
        pytest.param("AAA=", id="not-float32"),
    ],
)
def test_other_vectors_are_refused_over_http(site: Site, vector: object) -> None:
    assert refused(site, "/search", {"vector": vector}) == (422, "invalid_request")


def test_a_weight_needs_its_vector(site: Site) -> None:
    fields: dict[str, object] = {"item_id": 1001, "vector_weight": 2}
    assert refused(site, "/search", fields) == (422, "invalid_request")


def test_the_service_tells_what_it_takes(site: Site) -> None:
    info: Any = site.call("/info")
    assert info["accepts"] == ["item", "vector"]
    assert info["random_scores"]["text"] is None
    assert (info["backend"], info["precision"], info["item_count"]) == ("none", "none", 300)
    assert info["manifest"]["vector_source"]["name"] == "vectors.npy"
    assert site.call("/readyz")["images"] == "unavailable"
    with tusou.Client(site.url) as client, pytest.raises(tusou.errors.TusouError) as raised:
        client.item_image(1001)
    assert raised.value.code == "no_image"


def test_the_command_line_searches_with_a_file(site: Site, folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.load(folder / "items" / "vectors.npy")[[7]])
    done = run("query", "--vector", tmp_path / "v.npy", "--url", site.url, "--top-k", 1)
    assert done.stdout == "1\t1007\t1.0000\n"
    done = run("query", "红裙", "--url", site.url, check=False)
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "no_encoder")


def test_evaluation_with_the_queries_vectors_gives_the_same_scores(
    folder: Path, queries: Path
) -> None:
    encoded = run("evaluate", folder / "plain", "--answers", queries, "--json")
    given = run(
        *("evaluate", folder / "bare", "--answers", queries, "--json"),
        *("--query-vectors", folder / "queries" / "vectors.npy"),
        *("--query-ids", folder / "queries" / "ids.txt"),
    )
    plain, bare = json.loads(encoded.stdout), json.loads(given.stdout)
    assert bare["percent"] == plain["percent"]
    assert bare["queries"] == 40
    done = run("evaluate", folder / "bare", "--answers", queries, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1].split(":")[0]) == (1, "no_encoder")


def test_vectors_alone_take_no_live_changes(folder: Path) -> None:
    words = [sys.executable, "-m", "tusou", "serve", str(folder / "bare"), "--port", "0"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TUSOU_LIVE": "on", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode != 0
    assert "index the vectors with --model" in done.stderr


def test_with_the_model_live_items_join_the_vectors_and_are_compacted(
    folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    run(
        "index",
        *("--vectors", folder / "items" / "vectors.npy"),
        *("--ids", folder / "items" / "ids.txt"),
        *("--model", tiny_model, "--out", tmp_path / "b"),
    )
    with (
        serving(
            tmp_path / "b", tmp_path / "log", TUSOU_LIVE="on", TUSOU_TIMEOUT_MS="30000"
        ) as live,
        tusou.Client(live.url) as client,
    ):
        client.put_item(5, image=image_bytes(999))
        client.delete_item(1007)
        before = client.search("红色碎花吊带裙", top_k=20)
        assert client.search(image=image_bytes(999), top_k=1).item_ids == (5,)
    report = json.loads(run("compact", tmp_path / "b", "--json").stdout)
    assert (report["items"], report["added"], report["removed"]) == (300, 1, 1)
    with tusou.open_bundle(tmp_path / "b") as local:
        assert local.search("红色碎花吊带裙", top_k=20).item_ids == before.item_ids
    run("verify", tmp_path / "b")
