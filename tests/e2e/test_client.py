"""Every call of the client against the real service, which answers as in-process search does."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes
from tusou_indexer.build import BuildSpec, build

import tusou
from tests.browser.serving import Site, serving
from tusou.cli.progress import NoProgress

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
QUERIES = ["红色连衣裙", "不带拉链的包", "裙" * 60]


@pytest.fixture(scope="module")
def site(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("served")
    build(BuildSpec(str(pool), str(tiny_model), workers=1), folder / "b", NoProgress())
    with serving(folder / "b", folder / "log", TUSOU_TIMEOUT_MS="30000") as site:
        yield site


def test_the_client_finds_what_in_process_search_finds(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "shoe.jpg"
    path.write_bytes(image_bytes(7))
    with tusou.Client(site.url) as client, tusou.open_bundle(site.bundle) as local:
        for options in (
            {"query": QUERIES[0]},
            {"query": QUERIES[1]},
            {"query": QUERIES[1], "interpret": False},
            {"query": QUERIES[0], "negative": "鞋", "negative_weight": 0.3, "offset": 2},
            {"image": path, "image_weight": 2.0, "query": QUERIES[2]},
            {"image": image_bytes(7), "exclude": [1000, "1001"]},
            {"item_id": 1007, "negative_item_id": "1008"},
        ):
            served, expected = client.search(**options), local.search(**options)  # type: ignore[arg-type, call-overload]
            assert served.item_ids == expected.item_ids
            np.testing.assert_allclose(served.scores, expected.scores, atol=1e-6)
            assert (served.positive, served.negative) == (expected.positive, expected.negative)
            assert served.index_version == expected.index_version
            assert served.truncated == expected.truncated
        for interpret in (True, False):
            batch = client.search_batch(QUERIES, interpret=interpret, exclude=[1000])
            assert [hits.item_ids for hits in batch] == [
                hits.item_ids for hits in local.search(QUERIES, interpret=interpret, exclude=[1000])
            ]
            assert [hits.negative for hits in batch] == [None, "拉链" if interpret else None, None]
        np.testing.assert_allclose(
            client.embed_texts(QUERIES), local.encode_texts(QUERIES), atol=1e-6
        )
        images = [image_bytes(seed) for seed in range(20)]
        np.testing.assert_allclose(
            client.embed_images(images), local.encode_images(images), atol=1e-6
        )


def test_the_other_calls(site: Site) -> None:
    with tusou.Client(site.url) as client:
        assert (client.health(), client.ready()) == (True, True)
        version = client.info()["index_version"]
        assert client.reload() == {
            "status": "unchanged",
            "index_version": version,
            "previous_version": version,
        }
        item = client.item(1001)
        assert len(str(item.pop("etag"))) == 32
        assert item == {"item_id": 1001, "image": "/items/1001/image"}
        assert client.item_image(1001) == image_bytes(1)
        assert "tusou_" in client.metrics()
        with pytest.raises(tusou.errors.TusouError) as raised:
            client.search("裙", top_k=2000)
        assert raised.value.code == "invalid_request"
        assert [error.loc for error in raised.value.details] == [("body", "top_k")]


def test_asyncio(site: Site) -> None:
    async def search() -> list[int]:
        async with tusou.AsyncClient(site.url) as client:
            batch = await client.search_batch(QUERIES * 100, top_k=3)
            single = await client.search(QUERIES[0], top_k=3)
            assert batch[0].item_ids == single.item_ids
            return [len(hits) for hits in batch]

    assert asyncio.run(search()) == [3] * 300
