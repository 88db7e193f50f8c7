"""The search page as its users have it: every way to ask, and the way back."""

from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import Open, Watch, ask, shown, until
from tests.browser.serving import Site

QUERY = "红色碎花吊带裙"

# A file as a clipboard or a mouse carries it.
_TRANSFER = """async (address) => {
  const blob = await (await fetch(address)).blob();
  const transfer = new DataTransfer();
  transfer.items.add(new File([blob], "found.jpg", { type: blob.type }));
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


def image(site: Site, item_id: str) -> str:
    return f"{site.url}/items/{item_id}/image"


def test_a_sentence_finds_what_the_service_finds(page: Page, site: Site) -> None:
    ask(page, QUERY)
    assert shown(page, 24)[:24] == site.ids(QUERY)
    expect(page.locator("#status")).to_contain_text("共 240 件")
    expect(page.locator("#meta")).to_contain_text("毫秒")
    version = str(site.call("/info")["index_version"])
    expect(page.locator("#meta")).to_contain_text(version[:8])
    first = page.locator("#grid .image img").first
    expect(first).to_have_js_property("complete", value=True)
    assert first.evaluate("image => image.naturalWidth") > 0
    assert page.title() == f"{QUERY} · 图搜 Tusou"


def test_a_image_file_finds_itself(page: Page, site: Site) -> None:
    item_id = site.ids(QUERY)[5]
    with urlopen(image(site, item_id)) as response:
        file = {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": response.read()}
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    assert shown(page)[0] == item_id
    expect(page.locator(".chip.image")).to_contain_text("上传的图片")
    expect(page.locator("#notices")).to_contain_text("分享链接时不会包含图片")
    assert page.url == f"{site.url}/?image=1"


@pytest.mark.parametrize("way", [PASTE, DROP], ids=["pasted", "dropped"])
def test_a_image_can_be_pasted_and_dropped(page: Page, site: Site, way: str) -> None:
    item_id = site.ids(QUERY)[3]
    page.evaluate(way, image(site, item_id))
    assert shown(page)[0] == item_id
    expect(page.locator("#drop")).to_be_hidden()


def test_a_file_that_is_no_image_is_refused(page: Page) -> None:
    file = {"name": "x.png", "mimeType": "image/png", "buffer": b"not an image"}
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    expect(page.locator("#problem h2")).to_have_text("无法识别这张图片")


def test_a_format_the_service_does_not_take_is_redrawn(page: Page, watch: Watch) -> None:
    gif = (
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00"
        b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    )
    page.set_input_files("#file", {"name": "x.gif", "mimeType": "image/gif", "buffer": gif})
    assert len(shown(page, 24)) >= 24
    assert str(watch.asked[-1]["image"]).startswith("/9j/")  # JPEG in base64


def test_more_like_this(page: Page, watch: Watch) -> None:
    ask(page, QUERY)
    item_id = shown(page, 24)[1]
    page.locator("#grid .like").nth(1).click()
    expect(page.locator(".chip.like")).to_contain_text(item_id)
    until(
        page,
        "id => [...document.querySelectorAll('#grid .id')].every(e => e.textContent !== id)",
        item_id,
    )
    found = shown(page, 24)
    assert item_id not in found
    assert page.url.endswith(f"/?like={item_id}")
    assert watch.asked[-1]["item_id"] == int(item_id)
    assert page.input_value("#query") == ""


def test_words_and_a_image_are_weighed(page: Page, watch: Watch) -> None:
    ask(page, QUERY)
    shown(page)
    page.locator("#grid .like").first.click()
    expect(page.locator("#mix")).to_be_hidden()
    expect(page.locator(".chip.like")).to_be_visible()
    ask(page, "蓝色")
    expect(page.locator("#mix")).to_be_visible()
    page.wait_for_url("**/?q=*like=*")
    page.focus("#weight")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_url("**&w=70")
    shown(page)
    assert watch.asked[-1]["query"] == "蓝色"
    assert (watch.asked[-1]["query_weight"], watch.asked[-1]["item_weight"]) == (0.6, 1.4)


def test_less_like_this(page: Page, watch: Watch) -> None:
    ask(page, QUERY)
    item_id = shown(page, 24)[0]
    page.locator("#grid .less").first.click()
    expect(page.locator(".chip.less")).to_contain_text(item_id)
    until(page, "id => document.querySelector('#grid .id')?.textContent !== id", item_id)
    assert item_id not in shown(page, 24)
    last = watch.asked[-1]
    assert (last["query"], last["negative_item_id"]) == (QUERY, int(item_id))
    page.locator(".chip.less button").click()
    expect(page.locator("#grid .id").first).to_have_text(item_id)


def test_more_results_come_by_scrolling(page: Page, site: Site) -> None:
    ask(page, QUERY)
    count = len(shown(page, 24))
    while count < 100:
        page.mouse.wheel(0, 20_000)
        count = len(shown(page, count + 1))
    assert shown(page) == site.ids(QUERY, count)
    for _ in range(12):
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(50)
    expect(page.locator("#end")).to_have_text("已显示全部 240 件。")
    assert sorted(shown(page)) == sorted(site.ids(QUERY, 240))


def test_an_address_can_be_shared(page: Page, site: Site, opened: Open) -> None:
    ask(page, QUERY)
    shown(page)
    page.locator("#grid .less").first.click()
    page.wait_for_url("**less=*")
    mine = shown(page, 24)[:24]
    other = opened(page.url)
    assert shown(other, 24)[:24] == mine
    assert other.input_value("#query") == QUERY


def test_an_address_without_its_image_says_so(opened: Open, site: Site) -> None:
    page = opened(f"{site.url}/?q={QUERY}&image=1")
    expect(page.locator("#notices")).to_contain_text("链接不保存图片，请重新上传。")
    assert shown(page, 24)[:24] == site.ids(QUERY)


def test_back_and_forward(page: Page, watch: Watch, site: Site) -> None:
    page.set_viewport_size({"width": 700, "height": 240})  # the end is far: nothing more is asked
    ask(page, QUERY)
    first = shown(page, 24)
    ask(page, "蓝色马克杯")
    until(page, "id => document.querySelector('#grid .id')?.textContent !== id", first[0])
    second = shown(page, 24)
    asked = len(watch.asked)
    page.go_back()
    expect(page.locator("#query")).to_have_value(QUERY)
    assert shown(page, 24)[:24] == first[:24]
    page.go_forward()
    expect(page.locator("#query")).to_have_value("蓝色马克杯")
    assert shown(page, 24)[:24] == second[:24]
    assert len(watch.asked) == asked  # what was seen is kept
    page.go_back()
    page.go_back()
    expect(page.locator(".hero h1")).to_be_visible()
    assert page.locator("#grid .card").count() == 0


def test_a_negation_is_shown_and_can_be_switched_off(page: Page, watch: Watch) -> None:
    ask(page, "没有图案的黑色背包")
    notice = page.locator("#notices .notice")
    expect(notice).to_contain_text("已理解为：要")
    expect(notice).to_contain_text("图案")
    notice.get_by_role("button", name="按原文搜索").click()
    expect(notice).to_contain_text("正在按原文搜索")
    assert "literal=1" in page.url
    assert watch.asked[-1]["interpret"] is False
    notice.get_by_role("button", name="识别否定说法").click()
    expect(notice).to_contain_text("已理解为：要")


def test_english_stays_chosen(page: Page) -> None:
    page.click("#language")
    expect(page.locator("#go")).to_have_text("Search")
    assert page.locator("html").get_attribute("lang") == "en"
    page.reload()
    expect(page.locator("#go")).to_have_text("Search")
    ask(page, QUERY)
    expect(page.locator("#status")).to_contain_text("of 240")


def test_a_large_view_opens_and_closes(page: Page) -> None:
    ask(page, QUERY)
    item_id = shown(page)[0]
    page.locator("#grid .image").first.click()
    expect(page.locator("#viewer")).to_be_visible()
    expect(page.locator("#about")).to_contain_text(item_id)
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()


def test_with_the_keyboard_alone(page: Page) -> None:
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type(QUERY)
    page.keyboard.press("Enter")
    item_id = shown(page, 24)[0]
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


def test_on_a_phone_nothing_is_wider_than_the_screen(opened: Open, site: Site) -> None:
    phone = {"width": 360, "height": 740}
    page = opened(site.url, viewport=phone, is_mobile=True, has_touch=True)
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    page.locator("#samples a").first.tap()
    shown(page)
    page.locator("#grid .less").first.tap()
    expect(page.locator(".chip.less")).to_be_visible()
    assert page.evaluate(width) == 360
    ask(page, "很" * 60)
    expect(page.locator("#notices")).to_contain_text("太长")
    assert page.evaluate(width) == 360


def test_only_its_own_host_is_asked(page: Page, watch: Watch, site: Site) -> None:
    ask(page, QUERY)
    shown(page)
    page.goto(f"{site.url}/docs")
    expect(page.locator("h1")).to_have_text("Tusou API")
    assert watch.hosts == {site.url.removeprefix("http://")}
    blocked = page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'blocked')")
    assert blocked == "blocked"
    assert watch.hosts == {site.url.removeprefix("http://")}


def test_what_the_page_sends_for_a_sentence_is_the_sentence(page: Page, watch: Watch) -> None:
    ask(page, QUERY)
    shown(page)
    assert watch.asked[0] == {"top_k": 24, "query": QUERY}
