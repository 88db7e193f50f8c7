"""Search of texts by images, end to end: draw, index, serve, search, evaluate."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.browser.serving import Site, run_tusou, serving

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    run_tusou("toy", str(folder), "--items", "60", "--queries", "4", "--splits", "test")
    return folder


@pytest.fixture(scope="module")
def site(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("bundle")
    captions = str(drawn / "MR_test_captions.jsonl")
    run_tusou("index", captions, "--out", str(folder / "b"), "--model", "demo")
    with serving(folder / "b", folder / "log", TUSOU_TIMEOUT_MS="30000") as site:
        yield site


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.timeout(180)
def test_an_image_finds_its_captions(drawn: Path, site: Site) -> None:
    assert site.call("/readyz")["images"] == "ready"  # a text bundle loads the image tower at start
    info = site.call("/info")
    assert (info["items"], info["id_type"], info["accepts"]) == (
        "texts",
        "int",
        ["text", "image", "item", "vector"],
    )
    correct = {
        row["image_id"]: row["text_ids"] for row in rows(drawn / "MR_test_captions.tr.jsonl")
    }
    images = (drawn / "MR_test_imgs.tsv").read_text("ascii").splitlines()
    searched, hits = 0, 0
    for line in images[:30]:
        item_id, encoded = line.split("\t")
        result = site.call("/search", {"image": encoded, "top_k": 5})
        searched += 1
        hits += bool(set(result["item_ids"]) & set(correct[int(item_id)]))  # type: ignore[call-overload]
    assert hits >= 0.8 * searched


def test_raw_bytes_find_the_same_and_items_have_their_texts(drawn: Path, site: Site) -> None:
    _, encoded = (drawn / "MR_test_imgs.tsv").read_text("ascii").splitlines()[0].split("\t")
    request = urllib.request.Request(
        f"{site.url}/search/image?top_k=3",
        data=base64.b64decode(encoded),
        headers={"Content-Type": "image/jpeg"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        item_ids = json.load(response)["item_ids"]
    assert item_ids == site.call("/search", {"image": encoded, "top_k": 3})["item_ids"]
    texts = {row["text_id"]: row["text"] for row in rows(drawn / "MR_test_captions.jsonl")}
    for item_id in item_ids:
        assert site.call(f"/items/{item_id}") == {"item_id": item_id, "text": texts[item_id]}
    again = site.call("/search", {"query": texts[item_ids[0]], "top_k": 1})
    assert again["item_ids"] == [item_ids[0]]
    for path in (f"/items/{item_ids[0]}/image", "/items/1"):
        with pytest.raises(HTTPError, match="404"):
            site.call(path)


@pytest.mark.timeout(120)
def test_the_bundle_is_evaluated_by_images(drawn: Path, site: Site, tmp_path: Path) -> None:
    files = [str(drawn / name) for name in ("MR_test_captions.tr.jsonl", "MR_test_imgs.tsv")]
    command = ["evaluate", str(site.bundle), "--answers", files[0], "--pool", files[1]]
    run_tusou(*command, "--save", str(tmp_path / "run.jsonl"))
    header, *results = rows(tmp_path / "run.jsonl")
    assert header["direction"] == "image_to_text"
    correct = {row["image_id"]: row["text_ids"] for row in rows(Path(files[0]))}
    hits = [set(row["item_ids"]) & set(correct[row["query_id"]]) for row in results]  # type: ignore[call-overload]
    assert len(hits) == len(correct)
    assert sum(map(bool, hits)) >= 0.9 * len(hits)
