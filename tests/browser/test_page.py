"""The search page in use: every kind of query, and the browser's history."""

from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import Open, RequestRecord, result_ids, search, wait_until
from tests.browser.serving import Site

QUERY = "红色碎花吊带裙"

# A file in the clipboard or dragged by the mouse.
_TRANSFER = """async (url) => {
  const blob = await (await fetch(url)).blob();
  const transfer = new DataTransfer();
  transfer.items.add(new File([blob], "image.jpg", { type: blob.type }));
"""
PASTE = (
    _TRANSFER
    + """  document.getElementById("query").dispatchEvent(
    new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }));
}"""
)
DROP = (
    _TRANSFER
    + """  for (const name of ["dragover", "drop"]) document.body.dispatchEvent(
    new DragEvent(name, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""
)

# Not by the wheel: on a busy machine the browser may never answer that it has turned.
_TO_THE_END = "window.scrollTo(0, document.documentElement.scrollHeight)"


def image_url(site: Site, item_id: str) -> str:
    return f"{site.url}/items/{item_id}/image"


def test_a_sentence_shows_the_results_of_the_service(page: Page, site: Site) -> None:
    search(page, QUERY)
    assert result_ids(page, 24)[:24] == site.ids(QUERY)
    expect(page.locator("#status")).to_contain_text("共 240 件")
    expect(page.locator("#meta")).to_contain_text("毫秒")
    version = str(site.call("/info")["index_version"])
    expect(page.locator("#meta")).to_contain_text(version[:8])
    first = page.locator("#grid .image img").first
    expect(first).to_have_js_property("complete", value=True)
    assert first.evaluate("image => image.naturalWidth") > 0
    assert page.title() == f"{QUERY} · 图搜 Tusou"


def test_an_image_file_finds_itself(page: Page, site: Site) -> None:
    item_id = site.ids(QUERY)[5]
    with urlopen(image_url(site, item_id)) as response:
        file = {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": response.read()}
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    assert result_ids(page)[0] == item_id
    expect(page.locator(".chip.image")).to_contain_text("上传的图片")
    expect(page.locator("#notices")).to_contain_text("分享链接时不会包含图片")
    assert page.url == f"{site.url}/?image=1"


@pytest.mark.parametrize("script", [PASTE, DROP], ids=["pasted", "dropped"])
def test_an_image_can_be_pasted_and_dropped(page: Page, site: Site, script: str) -> None:
    item_id = site.ids(QUERY)[3]
    page.evaluate(script, image_url(site, item_id))
    assert result_ids(page)[0] == item_id
    expect(page.locator("#drop")).to_be_hidden()


def test_a_file_that_is_not_an_image_is_refused(page: Page) -> None:
    file = {"name": "x.png", "mimeType": "image/png", "buffer": b"not an image"}
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    expect(page.locator("#problem h2")).to_have_text("无法识别这张图片")


def test_an_unsupported_format_is_converted(page: Page, record: RequestRecord) -> None:
    gif = (
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00"
        b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    )
    page.set_input_files("#file", {"name": "x.gif", "mimeType": "image/gif", "buffer": gif})
    assert len(result_ids(page, 24)) >= 24
    assert str(record.searches[-1]["image"]).startswith("/9j/")  # JPEG in base64


def test_more_like_this(page: Page, record: RequestRecord) -> None:
    search(page, QUERY)
    item_id = result_ids(page, 24)[1]
    page.locator("#grid .like").nth(1).click()
    expect(page.locator(".chip.like")).to_contain_text(item_id)
    wait_until(
        page,
        "id => [...document.querySelectorAll('#grid .id')].every(e => e.textContent !== id)",
        item_id,
    )
    ids = result_ids(page, 24)
    assert item_id not in ids
    assert page.url.endswith(f"/?like={item_id}")
    assert record.searches[-1]["item_id"] == int(item_id)
    assert page.input_value("#query") == ""


def test_text_and_an_image_are_weighted(page: Page, record: RequestRecord) -> None:
    search(page, QUERY)
    result_ids(page)
    page.locator("#grid .like").first.click()
    expect(page.locator("#mix")).to_be_hidden()
    expect(page.locator(".chip.like")).to_be_visible()
    search(page, "蓝色")
    expect(page.locator("#mix")).to_be_visible()
    page.wait_for_url("**/?q=*like=*")
    page.focus("#weight")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_url("**&w=70")
    result_ids(page)
    assert record.searches[-1]["query"] == "蓝色"
    assert (record.searches[-1]["query_weight"], record.searches[-1]["item_weight"]) == (0.6, 1.4)


def test_less_like_this(page: Page, record: RequestRecord) -> None:
    search(page, QUERY)
    item_id = result_ids(page, 24)[0]
    page.locator("#grid .less").first.click()
    expect(page.locator(".chip.less")).to_contain_text(item_id)
    wait_until(page, "id => document.querySelector('#grid .id')?.textContent !== id", item_id)
    assert item_id not in result_ids(page, 24)
    request = record.searches[-1]
    assert (request["query"], request["dislike"]) == (QUERY, [item_id])
    page.locator(".chip.less button").click()
    expect(page.locator("#grid .id").first).to_have_text(item_id)


def test_liked_and_disliked_results_add_up(page: Page, record: RequestRecord) -> None:
    search(page, QUERY)
    chosen: list[str] = []
    for action in ("fits", "less", "fits"):
        item_id = result_ids(page, 24)[0]
        page.locator(f"#grid .{action}").first.click()
        expect(page.locator(f".chip.{action}", has_text=item_id)).to_be_visible()
        wait_until(
            page,
            "id => [...document.querySelectorAll('#grid .id')].every(e => e.textContent !== id)",
            item_id,
        )
        chosen.append(item_id)
    first, second, third = chosen
    request = record.searches[-1]
    assert (request["query"], request["like"], request["dislike"]) == (
        QUERY,
        [first, third],
        [second],
    )
    assert page.url.endswith(f"&fits={first}&fits={third}&less={second}")
    page.reload()
    expect(page.locator(".chip")).to_have_count(3)
    assert {first, second, third}.isdisjoint(result_ids(page, 24))
    page.locator(".chip.fits button").first.click()
    expect(page.locator(".chip")).to_have_count(2)
    result_ids(page, 24)
    assert record.searches[-1]["like"] == [third]


def test_scrolling_loads_more_results(page: Page, site: Site) -> None:
    search(page, QUERY)
    count = len(result_ids(page, 24))
    while count < 100:  # before the new cards are laid out there is nothing to scroll
        page.evaluate(_TO_THE_END)
        page.wait_for_timeout(50)
        count = len(result_ids(page, count))
    ids = result_ids(page)  # more may have come since they were counted
    assert ids == site.ids(QUERY, len(ids))
    while not page.locator("#end").inner_text():
        page.evaluate(_TO_THE_END)
        page.wait_for_timeout(50)
    expect(page.locator("#end")).to_have_text("已显示全部 240 件。")
    assert sorted(result_ids(page)) == sorted(site.ids(QUERY, 240))


def test_a_link_can_be_shared(page: Page, site: Site, opened: Open) -> None:
    search(page, QUERY)
    result_ids(page)
    page.locator("#grid .less").first.click()
    page.wait_for_url("**less=*")
    ids = result_ids(page, 24)[:24]
    other = opened(page.url)
    assert result_ids(other, 24)[:24] == ids
    assert other.input_value("#query") == QUERY


def test_a_link_without_its_image_says_so(opened: Open, site: Site) -> None:
    page = opened(f"{site.url}/?q={QUERY}&image=1")
    expect(page.locator("#notices")).to_contain_text("链接不保存图片，请重新上传。")
    assert result_ids(page, 24)[:24] == site.ids(QUERY)


def test_back_and_forward(page: Page, record: RequestRecord, site: Site) -> None:
    page.set_viewport_size(
        {"width": 700, "height": 240}
    )  # the end is out of view: no more pages are loaded
    search(page, QUERY)
    first = result_ids(page, 24)
    search(page, "蓝色马克杯")
    wait_until(page, "id => document.querySelector('#grid .id')?.textContent !== id", first[0])
    second = result_ids(page, 24)
    count = len(record.searches)
    page.go_back()
    expect(page.locator("#query")).to_have_value(QUERY)
    assert result_ids(page, 24)[:24] == first[:24]
    page.go_forward()
    expect(page.locator("#query")).to_have_value("蓝色马克杯")
    assert result_ids(page, 24)[:24] == second[:24]
    assert len(record.searches) == count  # the results were cached
    page.go_back()
    page.go_back()
    expect(page.locator(".hero h1")).to_be_visible()
    assert page.locator("#grid .card").count() == 0


def test_a_negation_is_shown_and_can_be_switched_off(page: Page, record: RequestRecord) -> None:
    search(page, "没有图案的黑色背包")
    notice = page.locator("#notices .notice")
    expect(notice).to_contain_text("已理解为：要")
    expect(notice).to_contain_text("图案")
    notice.get_by_role("button", name="按原文搜索").click()
    expect(notice).to_contain_text("正在按原文搜索")
    assert "literal=1" in page.url
    assert record.searches[-1]["interpret"] is False
    notice.get_by_role("button", name="识别否定说法").click()
    expect(notice).to_contain_text("已理解为：要")


def test_the_choice_of_english_is_remembered(page: Page) -> None:
    page.click("#language")
    expect(page.locator("#go")).to_have_text("Search")
    assert page.locator("html").get_attribute("lang") == "en"
    page.reload()
    expect(page.locator("#go")).to_have_text("Search")
    search(page, QUERY)
    expect(page.locator("#status")).to_contain_text("of 240")


def test_the_keyboard_is_enough(page: Page) -> None:
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type(QUERY)
    page.keyboard.press("Enter")
    item_id = result_ids(page, 24)[0]
    focused = "document.activeElement.className || document.activeElement.id"
    stops = []
    while not stops or stops[-1] != "like":
        page.keyboard.press("Tab")
        stops.append(page.evaluate(focused))
        assert len(stops) < 8, stops
    assert stops == ["icon", "go", "image", "like"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".chip.like")).to_contain_text(item_id)


def test_the_page_fits_a_phone(opened: Open, site: Site) -> None:
    phone = {"width": 360, "height": 740}
    page = opened(site.url, viewport=phone, is_mobile=True, has_touch=True)
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    page.locator("#samples a").first.tap()
    result_ids(page)
    page.locator("#grid .less").first.tap()
    expect(page.locator(".chip.less")).to_be_visible()
    assert page.evaluate(width) == 360
    search(page, "很" * 60)
    expect(page.locator("#notices")).to_contain_text("太长")
    assert page.evaluate(width) == 360


def test_only_the_pages_own_host_is_used(page: Page, record: RequestRecord, site: Site) -> None:
    search(page, QUERY)
    result_ids(page)
    page.goto(f"{site.url}/docs")
    expect(page.locator("h1")).to_have_text("Tusou API")
    assert record.hosts == {site.url.removeprefix("http://")}
    blocked = page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'blocked')")
    assert blocked == "blocked"
    assert record.hosts == {site.url.removeprefix("http://")}
