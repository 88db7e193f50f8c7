"""Filters, attributes and products through client, command line and service, beside brute force."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tusou_client import cli
from tusou_indexer.build import BuildSpec, build
from typer.testing import CliRunner, Result

import tusou
from tests.browser.serving import Site, serving
from tusou.cli.progress import NoProgress

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
QUERIES = ["红色连衣裙", "不带拉链的包", "鞋"]
FILTER = {"price": {"$lte": 20}, "$or": [{"brand": "甲"}, {"tags": "清仓"}]}


def goods(item_id: int) -> dict[str, Any]:
    """Return the attributes of an item; one in seven has no price."""
    number = item_id - 1000
    return {
        "title": f"商品 {number}\t新款",
        "brand": "甲" if number % 3 else "乙",
        "tags": ["夏季", "清仓"] if number % 4 == 0 else ["夏季"],
        "product_id": f"P{number // 4}",
        **({"price": number + 0.5} if number % 7 else {}),
    }


def passes(item_id: int) -> bool:
    item = goods(item_id)
    return item.get("price", 99) <= 20 and (item["brand"] == "甲" or "清仓" in item["tags"])


@pytest.fixture(scope="module")
def site(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("goods")
    ids = [int(line.split(b"\t")[0]) for line in pool.read_bytes().splitlines()]
    rows = [json.dumps({"item_id": item_id, **goods(item_id)}) for item_id in ids]
    (folder / "goods.jsonl").write_text("\n".join(rows))
    spec = BuildSpec(str(pool), str(tiny_model), workers=1, attributes=folder / "goods.jsonl")
    build(spec, folder / "b", NoProgress())
    with serving(folder / "b", folder / "log", TUSOU_TIMEOUT_MS="30000") as site:
        yield site


@pytest.fixture(scope="module")
def ids(site: Site) -> list[int]:
    """All items, in the order of the pool."""
    with tusou.Client(site.url) as client:
        return [int(str(item["item_id"])) for item in client.items()]


def test_the_client_filters_as_in_process_search_does(site: Site, ids: list[int]) -> None:
    passing = {item_id for item_id in ids if passes(item_id)}
    assert 0 < len(passing) < len(ids) / 2
    options: dict[str, Any] = {
        "top_k": len(ids),
        "filter": FILTER,
        "fields": ["price", "title"],
        "facets": ["brand", "tags"],
    }
    with tusou.Client(site.url) as client, tusou.open_bundle(site.bundle) as local:
        everything = client.search(QUERIES[0], top_k=len(ids))
        for more in ({}, {"distinct": "product_id"}, {"collapse": "near_duplicates"}):
            served = client.search(QUERIES[0], **options, **more)
            expected = local.search(QUERIES[0], **options, **more)
            assert served.item_ids == expected.item_ids
            assert served.attributes == expected.attributes
            assert served.others == expected.others
            assert (served.facets, served.matching_items) == (expected.facets, len(passing))
            batch = client.search_batch(QUERIES[:1] * 2, **options, **more)
            assert [hits.item_ids for hits in batch] == [served.item_ids] * 2
            assert [hits.facets for hits in batch] == [served.facets] * 2
        hits = client.search(QUERIES[0], **options)
        assert hits.item_ids == tuple(each for each in everything.item_ids if each in passing)
        assert hits.attributes == tuple(
            {name: value for name, value in goods(item_id).items() if name in options["fields"]}
            for item_id in map(int, hits.item_ids)
        )
        brands = [goods(item_id)["brand"] for item_id in passing]
        counts = {brand: brands.count(brand) for brand in set(brands)}
        assert dict(hits.facets["brand"]) == counts  # type: ignore[arg-type]
        products = client.search(QUERIES[0], distinct="product_id", top_k=len(ids))
        seen = [goods(int(each))["product_id"] for each in products.item_ids]
        assert len(seen) == len(set(seen))
        assert sum(products.others) + len(products) == len(ids)


def test_items_are_listed_by_filter(site: Site, ids: list[int]) -> None:
    with tusou.Client(site.url) as client:
        assert client.item(ids[5])["attributes"] == goods(ids[5])
        listed = list(client.items(filter=FILTER, page_size=2))
        assert [item["item_id"] for item in listed] == [each for each in ids if passes(each)]
        assert [item["attributes"] for item in listed] == [
            goods(each) for each in ids if passes(each)
        ]
        first, *_ = client.items(fields=["brand"])
        assert first == {"item_id": ids[0], "attributes": {"brand": goods(ids[0])["brand"]}}
        page, after = client.items_page(limit=3)
        assert ([item["item_id"] for item in page], after) == (ids[:3], ids[2])
        with pytest.raises(tusou.errors.TusouError) as raised:
            next(client.items(filter={"colour": "红"}))
        assert "“colour”" in str(raised.value)
        with pytest.raises(tusou.errors.TusouError) as raised:
            client.items_page(after=1)
        assert raised.value.code == "unknown_item"


async def test_items_are_listed_in_asyncio(site: Site, ids: list[int]) -> None:
    async with tusou.AsyncClient(site.url) as client:
        listed = [item["item_id"] async for item in client.items(page_size=7)]
    assert listed == ids


def run(*words: object) -> Result:
    app = typer.Typer()
    for verb in (cli.query, cli.replay):
        app.command()(verb)
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(word) for word in words])


def test_query_prints_attributes(site: Site) -> None:
    words = ["query", QUERIES[0], "--url", site.url, "--top-k", 3, "--filter", json.dumps(FILTER)]
    result = run(*words, "--fields", "title,price,tags")
    assert result.exit_code == 0
    for row in result.stdout.splitlines():
        _, item_id, _, *cells = row.split("\t")
        item = goods(int(item_id))
        title, price = item["title"].replace("\t", " "), str(item["price"])
        assert cells == [title, price, ",".join(item["tags"])]
    as_json = json.loads(run(*words, "--fields", "price", "--json").stdout)
    assert as_json["attributes"] == [
        {"price": goods(each)["price"]} for each in as_json["item_ids"]
    ]
    words = ["query", QUERIES[0], "--url", site.url, "--top-k", 300, "--fields", "price"]
    cells = {row.split("\t")[1]: row.split("\t")[3] for row in run(*words).stdout.splitlines()}
    assert cells["1007"] == "-"
    refused = run("query", "裙", "--url", site.url, "--fields", "colour")
    assert refused.exit_code == 1
    assert "No attribute is called “colour”" in refused.stderr


def test_replay_filters_every_row(site: Site, tmp_path: Path) -> None:
    rows = [{"query_id": n, "query_text": text} for n, text in enumerate(QUERIES)]
    queries = tmp_path / "queries.jsonl"
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "pred.jsonl"
    words = ["replay", queries, "--out", out, "--url", site.url, "--top-k", 3]
    assert run(*words, "--filter", json.dumps(FILTER)).exit_code == 0
    written = [json.loads(line)["item_ids"] for line in out.read_text().splitlines()]
    assert [len(items) for items in written] == [3, 3, 3]
    assert all(passes(item_id) for items in written for item_id in items)
    narrow = json.dumps({"price": {"$lt": 2}})
    refused = run(*words, "--filter", narrow, "--force")
    assert (refused.exit_code, "filter less" in refused.stderr) == (1, True)
