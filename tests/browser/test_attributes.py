"""The search page on an index with attributes: titles, prices, links, facets and products."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Route, expect
from tusou_indexer.build import BuildSpec, build

from tests.browser.conftest import ITEMS
from tests.browser.goods import (
    HOSTILE_TAG,
    HOSTILE_TITLES,
    SCHEMA,
    attributes_of,
    write_attributes,
)
from tests.browser.pages import Open, RequestRecord, result_ids, search, wait_until
from tests.browser.serving import Site, serving
from tests.browser.test_quality import violations
from tusou.cli.progress import NoProgress

FIRST_ID = 30_000_000
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
HOSTILE = f"/?q=裙&filter={quote(json.dumps({'tags': HOSTILE_TAG}))}"


@pytest.fixture(scope="session")
def shop(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the drawn images with attributes."""
    folder = tmp_path_factory.mktemp("shop")
    write_attributes(folder / "goods.jsonl", ITEMS)
    spec = BuildSpec(str(drawn), "demo", workers=1, attributes=folder / "goods.jsonl")
    build(spec, folder / "bundle", NoProgress())
    with serving(folder / "bundle", folder / "log") as site:
        yield site


@pytest.fixture
def page(opened: Open, shop: Site) -> Page:
    return opened(shop.url)


def goods(item_id: str) -> dict[str, object]:
    return dict(attributes_of(int(item_id) - FIRST_ID))


def facet(page: Page, name: str, value: str) -> None:
    """Choose a value of a facet."""
    page.locator(f'#facets section[data-name="{name}"] .value', has_text=value).first.click()


def test_a_card_shows_title_price_and_a_link(page: Page, record: RequestRecord) -> None:
    search(page, "红色连衣裙")
    first = result_ids(page, 24)[0]
    expected = goods(first)
    card = page.locator("#grid .card").first
    link = card.locator(".title a")
    expect(link).to_have_text(str(expected["title"]))
    assert link.evaluate("a => [a.protocol, a.host, a.target, a.rel]") == [
        "https:",
        "shop.example",
        "_blank",
        "noopener noreferrer",
    ]
    expect(card.locator(".price")).to_have_text(f"价格 {expected['price']}")
    card.locator(".image").click()
    expect(page.locator("#viewTitle a")).to_have_text(str(expected["title"]))
    expect(page.locator("#about")).to_contain_text(f"价格 {expected['price']}")
    (request,) = record.searches
    assert request["fields"] == ["title", "price", "url", "product_id"]
    assert request["distinct"] == "product_id"
    assert request["facets"] == ["category", "color", "tags", "in_stock"]


def test_goods_without_attributes_have_plain_cards(page: Page) -> None:
    page.goto(page.url + '?q=裙&filter={"title":{"$exists":false}}')
    ids = result_ids(page, 5)
    assert all("title" not in goods(item_id) for item_id in ids)
    for part in (".title", ".offer"):
        expect(page.locator(f"#grid .card {part}:visible")).to_have_count(0)


def test_hostile_attributes_are_text(page: Page, shop: Site) -> None:
    page.goto(shop.url + HOSTILE)
    ids = result_ids(page, 4)
    expect(page.locator("#filters .chip .name")).to_have_text(f"标签：{HOSTILE_TAG}")
    titles = dict(zip(ids, page.locator("#grid .card .title").all_text_contents(), strict=True))
    by_title = {str(goods(item_id)["title"]): titles[item_id] for item_id in ids}
    for title in HOSTILE_TITLES:
        shown = by_title[title]
        assert shown == title or (shown.endswith("…") and title.startswith(shown[:-1]))
        assert len(shown) <= 201
    links = page.locator("#grid .card a").evaluate_all("links => links.map((a) => a.protocol)")
    assert links == ["https:"]
    assert page.evaluate("document.querySelectorAll('#grid img[onerror], #grid b').length") == 0
    overflow = "() => document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(overflow) <= 0
    page.locator("#grid .image").nth(ids.index(ids[-1])).click()
    expect(page.locator("#viewer")).to_be_visible()
    assert page.evaluate(overflow) <= 0
    assert page.title() == "裙 · 图搜 Tusou"  # no script has run


def test_a_facet_filters_and_a_chip_removes_it(
    page: Page, shop: Site, record: RequestRecord
) -> None:
    search(page, "红色")
    result_ids(page, 24)
    expect(page.locator("#status")).to_have_text("前 24 件，共 240 件")
    count = page.locator('#facets section[data-name="category"] .count').first.inner_text()
    facet(page, "category", "")
    chip = page.locator("#filters .chip .name")
    expect(chip).to_have_count(1)
    category = chip.inner_text().removeprefix("类别：")
    passing = sum(attributes_of(number)["category"] == category for number in range(ITEMS))
    assert passing == int(count)
    expect(page.locator("#status")).to_contain_text(f"符合条件的共 {count} 件")
    ids = result_ids(page)
    assert {goods(item_id)["category"] for item_id in ids} == {category}
    expected = {"filter": {"category": category}, "distinct": "product_id"}
    fields = {"query": "红色", "top_k": 24, **expected}
    assert ids == [str(each) for each in shop.call("/search", fields)["item_ids"]]  # type: ignore[attr-defined]
    assert json.loads(page.evaluate("new URLSearchParams(location.search).get('filter')")) == {
        "category": category
    }
    expect(page.locator('#facets section[data-name="category"]')).to_have_count(0)
    expect(page.locator("#end")).to_have_text(f"已显示全部 {len(ids)} 件。")

    searches = len(record.searches)
    page.go_back()
    expect(page.locator("#filters")).to_be_hidden()
    expect(page.locator("#status")).to_have_text("前 24 件，共 240 件")
    page.go_forward()
    expect(chip).to_have_text(f"类别：{category}")
    assert result_ids(page) == ids
    assert len(record.searches) == searches  # going back and forth needs no request

    page.reload()
    assert result_ids(page) == ids
    page.locator("#filters .chip button").click()
    expect(page.locator("#filters")).to_be_hidden()
    result_ids(page, 24)
    assert "filter" not in record.searches[-1]
    assert "filter" not in page.url


def test_values_of_a_list_are_combined(page: Page, record: RequestRecord) -> None:
    search(page, "裙")
    result_ids(page, 24)
    facet(page, "tags", "条纹")
    expect(page.locator("#filters .chip")).to_have_count(1)
    facet(page, "tags", "清仓")
    expect(page.locator("#filters .chip")).to_have_count(2)
    ids = result_ids(page)
    for item_id in ids:
        assert goods(item_id)["tags"] == ["条纹", "清仓"]
    assert record.searches[-1]["filter"] == {"$and": [{"tags": "条纹"}, {"tags": "清仓"}]}
    page.reload()
    assert result_ids(page) == ids
    expect(page.locator("#filters .chip")).to_have_count(2)
    page.locator("#filters .link").click()  # clear all
    expect(page.locator("#filters")).to_be_hidden()


def test_a_price_has_bounds(page: Page, record: RequestRecord) -> None:
    search(page, "裙")
    result_ids(page, 24)
    low, high = page.locator(".range input").all()
    low.fill("100")
    high.fill("50.5")
    high.press("Enter")  # the wrong way round
    expect(page.locator("#filters .chip .name")).to_have_text("价格 50.5–100")
    ids = result_ids(page)
    assert all(50.5 <= float(str(goods(item_id)["price"])) <= 100 for item_id in ids)
    assert record.searches[-1]["filter"] == {"price": {"$gte": 50.5, "$lte": 100}}
    high = page.locator(".range input").nth(1)
    expect(high).to_have_value("100")
    high.fill("")
    high.press("Enter")
    expect(page.locator("#filters .chip .name")).to_have_text("价格 ≥ 50.5")
    low = page.locator(".range input").first
    low.fill("")
    low.press("Enter")
    expect(page.locator("#filters")).to_be_hidden()


def test_a_bound_that_is_being_typed_outlives_the_results_that_arrive(page: Page) -> None:
    search(page, "裙")
    result_ids(page, 24)
    held: list[Route] = []
    page.route("**/search", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks it
    page.locator("#query").fill("鞋")
    page.locator("#query").press("Enter")
    page.wait_for_timeout(100)
    high = page.locator(".range input").nth(1)
    high.fill("80")
    assert len(held) == 1
    held[0].continue_()
    page.unroute("**/search")
    expect(page.locator("#grid")).not_to_have_attribute("aria-busy", "true")
    result_ids(page)
    expect(high).to_have_value("80")
    expect(high).to_be_focused()
    high.press("Enter")
    expect(page.locator("#filters .chip .name")).to_have_text("价格 ≤ 80")


def test_nothing_that_passes_says_so(page: Page) -> None:
    page.goto(page.url + '?q=裙&filter={"price":{"$gte":9999}}')
    expect(page.locator("#notices")).to_contain_text("没有符合这些条件的商品")
    page.locator("#notices button").click()
    assert len(result_ids(page, 24)) >= 24


def test_a_product_has_one_card_and_shows_its_others(page: Page, record: RequestRecord) -> None:
    search(page, "连衣裙")
    ids = result_ids(page, 24)
    products = [goods(item_id).get("product_id") for item_id in ids]
    known = [product for product in products if product]
    assert len(set(known)) == len(known)
    card = page.locator("#grid .card", has=page.locator(".others")).first
    product = goods(str(card.get_attribute("data-id")))["product_id"]
    count = sum(attributes_of(number).get("product_id") == product for number in range(ITEMS))
    expect(card.locator(".others")).to_have_text(f"另有 {count - 1} 件")
    card.locator(".others").click()
    expect(page.locator("#filters .chip .name")).to_have_text(f"商品编号：{product}")
    assert len(result_ids(page, count)) == count
    assert "distinct" not in record.searches[-1]


def test_facets_come_with_the_first_page_alone(page: Page, record: RequestRecord) -> None:
    search(page, "裙")
    count = len(result_ids(page, 24))
    page.mouse.wheel(0, 20_000)
    result_ids(page, count + 1)
    first, *more = record.searches
    assert first["facets"]
    assert more
    for request in more:
        assert "facets" not in request
        assert (request["distinct"], request["fields"]) == (first["distinct"], first["fields"])


def test_filters_stay_for_other_queries(page: Page, record: RequestRecord) -> None:
    search(page, "裙")
    result_ids(page, 24)
    facet(page, "in_stock", "是")
    expect(page.locator("#filters .chip .name")).to_have_text("有货：是")
    search(page, "鞋")
    page.wait_for_url("**/?q=%E9%9E%8B*")
    result_ids(page, 24)
    assert record.searches[-1]["filter"] == {"in_stock": True}
    page.locator("#grid .like").first.click()
    expect(page.locator(".chip.like")).to_be_visible()
    result_ids(page, 24)
    assert record.searches[-1]["filter"] == {"in_stock": True}
    page.locator(".brand").click()
    expect(page.locator("#filters")).to_be_hidden()


def test_an_address_may_have_any_filter_of_the_api(page: Page, record: RequestRecord) -> None:
    selected = {"$or": [{"color": "红色"}, {"price": {"$lt": 60}}], "category": {"$ne": "连衣裙"}}
    page.goto(f"{page.url}?q=裙&filter={quote(json.dumps(selected))}")
    for item_id in result_ids(page):
        item = goods(item_id)
        assert item["category"] != "连衣裙"
        assert item.get("color") == "红色" or float(str(item["price"])) < 60
    assert record.searches[-1]["filter"] == selected
    expect(page.locator("#filters .chip .name").first).to_contain_text("$or")
    page.locator("#filters .chip button").first.click()
    expect(page.locator("#filters .chip")).to_have_count(1)
    assert record.searches[-1]["filter"] == {"category": {"$ne": "连衣裙"}}


@pytest.mark.parametrize("wrong", ["{", '{"colour": "红"}', '{"price": "5"}', "[]", '{"$or": 1}'])
def test_a_wrong_filter_of_the_address_can_be_removed(page: Page, wrong: str) -> None:
    page.goto(f"{page.url}?q=裙&filter={quote(wrong)}")
    expect(page.locator("#problem h2")).to_have_text("请求无效")
    page.locator("#filters .chip button").click()
    assert len(result_ids(page, 24)) >= 24
    expect(page.locator("#problem")).to_be_hidden()


def test_the_keyboard_stays_in_the_facets(page: Page) -> None:
    search(page, "裙")
    result_ids(page, 24)
    page.locator('#facets section[data-name="tags"] .value').first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#filters .chip")).to_have_count(1)
    result_ids(page)
    focused = "() => document.activeElement.closest('section')?.dataset.name === 'tags'"
    wait_until(page, focused)
    page.keyboard.press("Enter")
    expect(page.locator("#filters .chip")).to_have_count(2)
    page.locator("#filters .chip button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#filters .chip")).to_have_count(1)
    result_ids(page)
    more = page.locator('#facets section[data-name="category"] .link')
    more.focus()
    page.keyboard.press("Enter")
    assert page.locator('#facets section[data-name="category"] .value').count() > 10


def test_a_phone_hides_the_facets_behind_a_button(opened: Open, shop: Site) -> None:
    page = opened(shop.url, **PHONE)
    search(page, "裙")
    result_ids(page, 24)
    toggle = page.locator("#facets .toggle")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    expect(page.locator("#facets section").first).to_be_hidden()
    toggle.click()
    expect(toggle).to_have_attribute("aria-expanded", "true")
    facet(page, "in_stock", "是")
    expect(toggle).to_have_text("筛选（已选 1 项）")
    expect(page.locator("#facets section").first).to_be_visible()  # it stays open
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.goto(shop.url + HOSTILE)
    result_ids(page, 4)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violations(
    opened: Open, shop: Site, scheme: Literal["light", "dark"], language: str
) -> None:
    page = opened(shop.url, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    if language == "en":
        page.click("#language")
    search(page, "裙")
    result_ids(page, 24)
    facet(page, "tags", "")
    expect(page.locator("#filters .chip")).to_have_count(1)
    result_ids(page)
    assert violations(page) == []
    page.locator("#grid .image").first.click()
    expect(page.locator("#viewer")).to_be_visible()
    assert violations(page) == []


def test_english_texts(opened: Open, shop: Site) -> None:
    page = opened(shop.url, locale="en-US")
    page.goto(shop.url + '?q=裙&filter={"price":{"$lte":200},"in_stock":true}')
    result_ids(page)
    expect(page.locator("#filters .chip .name").first).to_have_text("Price ≤ 200")
    expect(page.locator("#filters .chip .name").nth(1)).to_have_text("In stock: yes")
    expect(page.locator("#status")).to_contain_text("that match")
    assert page.locator("#facets h2").all_inner_texts() == ["Price", "Category", "Color", "Tags"]


def test_the_schema_is_that_of_the_goods(shop: Site) -> None:
    assert shop.call("/info")["attributes"] == SCHEMA
