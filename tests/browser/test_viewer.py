"""The large view of an item: its place in the history, keys, swipes, and searching from it."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import STARTED, Open, RequestRecord, result_ids, search, wait_until
from tests.browser.serving import Site

QUERY = "红色碎花吊带裙"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

_SWIPE = """([from, to]) => {
  const large = document.getElementById("large");
  const options = { isPrimary: true, pointerType: "touch", bubbles: true, clientY: 300 };
  large.dispatchEvent(new PointerEvent("pointerdown", { ...options, clientX: from }));
  large.dispatchEvent(new PointerEvent("pointerup", { ...options, clientX: to }));
}"""


def open_first(page: Page) -> list[str]:
    search(page, QUERY)
    ids = result_ids(page, 24)
    page.locator("#grid .image").first.click()
    expect(page.locator("#viewer")).to_be_visible()
    return ids


def expect_item(page: Page, item_id: str) -> None:
    expect(page.locator("#about")).to_contain_text(item_id)


def test_back_closes_the_viewer_and_the_results_stay(page: Page, record: RequestRecord) -> None:
    ids = open_first(page)
    url, count = page.url, len(record.searches)
    page.go_back()
    expect(page.locator("#viewer")).to_be_hidden()
    assert (page.url, result_ids(page)[:24], len(record.searches)) == (url, ids[:24], count)
    page.go_forward()
    expect_item(page, ids[0])
    page.locator("#close").click()
    expect(page.locator("#viewer")).to_be_hidden()
    page.go_back()  # closing left no entry behind
    expect(page.locator(".hero h1")).to_be_visible()


def test_arrow_keys_go_through_the_results_and_beyond_the_first_page(page: Page) -> None:
    page.set_viewport_size({"width": 700, "height": 240})  # no second page yet
    ids = open_first(page)
    expect(page.locator("#previous")).to_be_hidden()
    for item_id in ids[1:4]:
        page.keyboard.press("ArrowRight")
        expect_item(page, item_id)
    page.keyboard.press("ArrowLeft")
    expect_item(page, ids[2])
    expect(page.locator("#about")).to_contain_text("第 3 个")
    page.locator("#following").click()
    expect_item(page, ids[3])
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator("#grid .image").nth(3)).to_be_focused()
    page.locator("#grid .image").nth(len(ids) - 1).click()
    expect_item(page, ids[-1])
    page.keyboard.press("ArrowRight")
    expect(page.locator("#about")).to_contain_text(f"第 {len(ids) + 1} 个")


def test_swipes_go_through_the_results_on_a_phone(opened: Open, site: Site) -> None:
    page = opened(site.url, **PHONE)
    ids = open_first(page)
    page.evaluate(_SWIPE, [300, 100])
    expect_item(page, ids[1])
    page.evaluate(_SWIPE, [100, 300])
    expect_item(page, ids[0])
    page.evaluate(_SWIPE, [100, 110])  # a tap
    expect_item(page, ids[0])


@pytest.mark.parametrize("profile", [PHONE, {"viewport": {"width": 2560, "height": 1440}}])
def test_an_image_is_as_large_as_the_screen_allows(
    opened: Open, site: Site, profile: dict[str, object]
) -> None:
    page = opened(site.url, **profile)
    open_first(page)
    width, height = page.evaluate("[innerWidth, innerHeight]")
    box = page.locator("#large img").bounding_box()
    bar = page.locator(".under").bounding_box()
    assert box
    assert bar
    assert (box["width"], box["height"] + bar["height"]) == pytest.approx((width, height), abs=2)
    assert bar["height"] < 120


def test_searching_from_the_viewer_goes_back_to_the_results(page: Page) -> None:
    ids = open_first(page)
    page.locator("#viewLike").click()
    expect(page.locator("#viewer")).to_be_hidden()
    page.wait_for_url(f"**/?like={ids[0]}")
    assert ids[0] not in result_ids(page, 24)
    page.go_back()
    expect(page.locator("#query")).to_have_value(QUERY)
    expect(page.locator("#viewer")).to_be_hidden()
    assert result_ids(page, 24)[:24] == ids[:24]


def test_a_reload_opens_the_same_item(page: Page) -> None:
    ids = open_first(page)
    page.keyboard.press("ArrowRight")
    expect_item(page, ids[1])
    page.reload()
    wait_until(page, STARTED)
    expect(page.locator("#viewer")).to_be_visible()
    expect_item(page, ids[1])
    page.go_back()
    expect(page.locator("#viewer")).to_be_hidden()
    assert result_ids(page, 24)[:24] == ids[:24]


def test_the_focus_stays_where_the_user_moved_it_after_closing(page: Page) -> None:
    open_first(page)
    page.evaluate(
        """() => {
            const back = history.back.bind(history);
            window.addEventListener("popstate", () => { document.title = "went back"; });
            history.back = () => setTimeout(back, 300);  // a busy machine
        }"""
    )
    page.keyboard.press("Escape")
    expect(page.locator("#grid .image").first).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#grid .like").first).to_be_focused()
    expect(page).to_have_title("went back")
    expect(page.locator("#grid .like").first).to_be_focused()


def test_an_items_id_is_offered_as_an_item(page: Page, site: Site, record: RequestRecord) -> None:
    item_id = site.ids(QUERY)[0]
    search(page, item_id)
    notice = page.locator("#notices")
    expect(notice).to_contain_text(f"{item_id} 是一件商品的编号")
    notice.get_by_role("button", name="查看这件商品").click()
    expect_item(page, item_id)
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    notice.get_by_role("button", name="找与它相似的").click()
    page.wait_for_url(f"**/?like={item_id}")
    search(page, "123456789")  # no item
    result_ids(page, 24)
    expect(notice).to_be_empty()
