"""The start page and the language, width and random scores of the page."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.pages import Open, RequestRecord, result_ids, search, wait_until
from tests.browser.serving import Site

QUERY = "红色碎花吊带裙"


def test_items_of_the_pool_are_samples(page: Page, site: Site) -> None:
    ids = site.call("/info")["sample_item_ids"]
    assert isinstance(ids, list)
    links = page.locator("#sampleItems a")
    expect(links).to_have_count(12)
    hrefs = [link.get_attribute("href") for link in links.all()]
    assert hrefs == [f"/?like={item_id}" for item_id in ids]
    wait_until(page, "() => document.querySelector('#sampleItems img').naturalWidth > 0")
    links.first.click()
    assert str(ids[0]) not in result_ids(page, 24)


def test_sample_sentences_are_those_of_the_demo_alone(opened: Open, site: Site) -> None:
    def rename(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "model": "ViT-B-16"})

    page = opened(site.url)
    expect(page.locator("#samples li")).to_have_count(5)
    page.route("**/info", rename)
    page.goto(site.url)
    expect(page.locator("#sampleItems li")).to_have_count(12)
    expect(page.locator("#samples li")).to_have_count(0)
    expect(page.locator("#hint")).to_have_text("也可以粘贴、拖入或选择一张图片。")


@pytest.mark.parametrize(
    ("locale", "shown"), [("zh-TW", "搜索"), ("en-GB", "Search"), ("de-DE", "Search")]
)
def test_the_language_is_the_browsers_until_it_is_chosen(
    opened: Open, site: Site, locale: str, shown: str
) -> None:
    page = opened(site.url, locale=locale)
    expect(page.locator("#go")).to_have_text(shown)
    page.click("#language")
    expect(page.locator("#go")).not_to_have_text(shown)
    page.reload()
    expect(page.locator("#go")).to_have_text({"搜索": "Search", "Search": "搜索"}[shown])


def test_what_is_typed_while_the_page_starts_stays(opened: Open, site: Site) -> None:
    page = opened(site.url)

    def answer_late(route: Route) -> None:
        page.fill("#query", QUERY)
        route.continue_()

    page.route("**/info", answer_late)
    page.goto(site.url)
    expect(page.locator("#meta")).to_contain_text("240")
    assert page.input_value("#query") == QUERY


def test_wide_screens_are_used(opened: Open, site: Site) -> None:
    page = opened(f"{site.url}/?q={QUERY}", viewport={"width": 2560, "height": 1440})
    result_ids(page, 24)
    box = page.locator("#grid").bounding_box()
    assert box
    assert box["width"] > 2400
    columns = page.evaluate(
        "getComputedStyle(document.querySelector('#grid')).gridTemplateColumns.split(' ').length"
    )
    assert 8 <= columns <= 12


def line_position(page: Page) -> int:
    """Return how many results stand above the line, -1 without a line."""
    position: int = page.evaluate(
        """() => {
          const shown = [...document.querySelectorAll("#grid > li")];
          return shown.findIndex((element) => element.matches(".random"));
        }"""
    )
    return position


def test_a_line_says_where_results_are_like_random_ones(page: Page, site: Site) -> None:
    levels = site.call("/info")["random_scores"]
    assert isinstance(levels, dict)

    def count_above(query: str) -> int:
        scores = site.call("/search", {"query": query, "top_k": 24})["scores"]
        assert isinstance(scores, list)
        return sum(score >= levels["text"] for score in scores)

    query = next(filter(count_above, ["紫色电吹风", "黑色耳机", "橙色相机", "蓝色手表", "裙"]))
    above = count_above(query)
    assert above < 24
    search(page, query)
    result_ids(page, 24)
    assert line_position(page) == above
    expect(page.locator(".random")).to_have_text("以下结果可能不相关：相似度与随机图片相差无几")
    search(page, "量子力学")
    expect(page.locator(".random")).to_contain_text("没有明显匹配的商品")
    assert line_position(page) == 0
    search(page, "不要条纹的衬衫")  # a refusal: its scores have another scale
    expect(page.locator("#notices")).to_contain_text("已理解为")
    assert line_position(page) == -1


def test_a_search_asks_for_no_more_than_its_results(page: Page, record: RequestRecord) -> None:
    search(page, QUERY)
    result_ids(page)
    assert record.searches[0] == {"top_k": 24, "query": QUERY}
