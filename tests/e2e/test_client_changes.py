"""The client changes the items of a real live service."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawing import image_bytes
from tusou_client import Change, ServiceError
from tusou_indexer.build import BuildSpec, build

import tusou
from tests.browser.serving import Site, serving
from tusou.cli.progress import NoProgress

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("changed")
    build(BuildSpec(str(pool), str(tiny_model), workers=1), folder / "b", NoProgress())
    with serving(folder / "b", folder / "log", TUSOU_LIVE="on", TUSOU_TIMEOUT_MS="30000") as site:
        yield site


def test_every_change_is_seen_by_the_next_call(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "新品.jpg"
    path.write_bytes(image_bytes(9000))
    with tusou.Client(site.url) as client:
        added = client.put_item(5000, image=path, attributes={"title": "新品", "price": 5.0})
        assert (added.item_id, added.status) == (5000, "created")
        assert added.index_version == client.info()["index_version"]
        assert client.item(5000) == {
            "item_id": 5000,
            "image": "/items/5000/image",
            "attributes": {"title": "新品", "price": 5.0},
            "etag": added.etag,
        }
        assert client.item_image(5000) == image_bytes(9000)
        assert 5000 in client.search(image=path, top_k=3).item_ids
        patched = client.patch_item(5000, {"price": 4.5, "title": None}, if_match=added.etag)
        assert patched.status == "patched"
        assert client.item(5000)["attributes"] == {"price": 4.5}
        with pytest.raises(ServiceError) as raised:
            client.delete_item(5000, if_match=added.etag)
        assert (raised.value.code, raised.value.status) == ("precondition_failed", 412)
        assert client.delete_item(5000, if_match="*").status == "deleted"
        assert client.delete_item(5000).status == "absent"
        vector = client.embed_images([image_bytes(9001)])[0]
        given = client.put_item(5001, image=image_bytes(9001), vector=vector)
        assert client.put_item(5001, image=image_bytes(9001)).etag == given.etag
        assert client.search(image=image_bytes(9001), top_k=1).item_ids == (5001,)


def test_several_changes_have_an_outcome_each(site: Site) -> None:
    async def change() -> None:
        async with tusou.AsyncClient(site.url) as client:
            outcomes = await client.change_items(
                [
                    {
                        "op": "upsert",
                        "item_id": 6000,
                        "image": image_bytes(1),
                        "attributes": {"brand": "乙"},
                    },
                    {"op": "upsert", "item_id": 6001, "image": b"GIF89a no"},
                    {"op": "patch", "item_id": 777, "attributes": {"brand": "甲"}},
                    {"op": "patch", "item_id": 1001, "attributes": {"brand": "乙"}},
                    {"op": "delete", "item_id": 1002},
                ]
            )
            assert [
                each.status if isinstance(each, Change) else each.code for each in outcomes
            ] == [*("created", "bad_image", "unknown_item", "patched", "deleted")]
            assert [item["item_id"] async for item in client.items(filter={"brand": "乙"})] == [
                *(1001, 6000)
            ]
            assert await client.delete_items({"brand": "乙"}) == 2
            assert await client.delete_items({"brand": "乙"}) == 0

    asyncio.run(change())
