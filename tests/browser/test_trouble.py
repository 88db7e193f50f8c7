"""The search page when something fails."""

import base64
import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from drawing import image_bytes
from playwright.sync_api import Page, Route, expect
from tusou_service.http.errors import PROBLEM_JSON, PROBLEM_TYPES

from tests.browser.pages import Open, result_ids, search, wait_until
from tests.browser.serving import Site, index, serving
from tusou.core.errors import Overloaded

QUERY = "红色碎花吊带裙"
KEY = "a-key-that-opens-the-page"


def refuse(page: Page, seconds: int) -> None:
    """Answer the next search as an overloaded service would."""
    kind = PROBLEM_TYPES[Overloaded]
    body = {"code": Overloaded.code, "status": kind.status, "request_id": "r1"}
    page.route(
        "**/search",
        lambda route: route.fulfill(
            status=kind.status,
            headers={"Retry-After": str(seconds), "Content-Type": PROBLEM_JSON},
            body=json.dumps(body),
        ),
        times=1,
    )


def test_the_page_retries_after_the_time_that_the_service_gives(page: Page, site: Site) -> None:
    refuse(page, 2)
    search(page, QUERY)
    expect(page.locator("#problem h2")).to_have_text("服务繁忙")
    expect(page.locator("#problem .countdown")).to_have_text("2 秒后自动重试")
    expect(page.locator("#problem .meta")).to_have_text("overloaded · 状态码 503 · 请求编号 r1")
    expect(page.locator("#problem .countdown")).to_have_text("1 秒后自动重试")
    assert result_ids(page, 24)[:24] == site.ids(QUERY)
    expect(page.locator("#problem")).to_be_hidden()


def test_a_user_can_retry_before_the_countdown_ends(page: Page, site: Site) -> None:
    refuse(page, 600)
    search(page, QUERY)
    page.get_by_role("button", name="立即重试").click()
    assert result_ids(page, 24)[:24] == site.ids(QUERY)


def test_an_error_while_loading_more_keeps_the_results(page: Page) -> None:
    page.set_viewport_size({"width": 700, "height": 300})
    search(page, QUERY)
    before = len(result_ids(page, 24))
    refuse(page, 1)
    page.mouse.wheel(0, 50_000)
    expect(page.locator("#problem h2")).to_have_text("服务繁忙")
    assert len(result_ids(page)) >= before
    assert len(result_ids(page, before + 1)) > before  # after the countdown


def flood(site: Site, stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(OSError):
            site.call("/search", {"query": "裙"})


def test_a_really_overloaded_service(bundle: Path, tmp_path: Path, opened: Open) -> None:
    narrow = {"TUSOU_QUEUE_SIZE": "1", "TUSOU_MAX_BATCH": "1"}
    stop = threading.Event()
    with serving(bundle, tmp_path / "log", **narrow) as site, ThreadPoolExecutor(8) as clients:
        page = opened(site.url)
        expect(page.locator("#meta")).to_contain_text("240")
        floods = [clients.submit(flood, site, stop) for _ in range(8)]
        try:
            for _ in range(40):  # now and then a search gets through
                with page.expect_response("**/search") as response:
                    search(page, QUERY)
                if response.value.status == 503:
                    break
            expect(page.locator("#problem h2")).to_have_text("服务繁忙")
            assert int(response.value.headers["retry-after"]) >= 1
        finally:
            stop.set()
        wait(floods)  # their last searches fill the queue too
        assert result_ids(page, 24)[:24] == site.ids(QUERY)


def test_a_search_that_timed_out_is_retried(page: Page, site: Site) -> None:
    def shorten_timeout(route: Route) -> None:
        route.continue_(headers={**route.request.headers, "x-request-timeout-ms": "1"})

    page.route("**/search", shorten_timeout, times=1)
    with page.expect_response("**/search") as response:
        search(page, QUERY)
    assert response.value.status in {503, 504}  # before or after the millisecond has passed
    assert result_ids(page, 24)[:24] == site.ids(QUERY)


def test_old_results_stay_while_the_service_is_away(page: Page, site: Site) -> None:
    search(page, QUERY)
    ids = result_ids(page, 24)[:24]
    page.route("**/search", lambda route: route.abort())
    search(page, "蓝色马克杯")
    expect(page.locator("#problem h2")).to_have_text("无法连接服务")
    expect(page.locator("#status")).to_have_text("以下是之前的结果")
    dimmed = page.locator("#grid[inert] .card")
    assert [card.get_attribute("data-id") for card in dimmed.all()][:24] == ids
    page.unroute("**/search")
    assert result_ids(page, 24)[:24] == site.ids("蓝色马克杯")  # after the countdown
    expect(page.locator("#problem")).to_be_hidden()


def test_a_refused_query_shows_no_results_of_another(page: Page) -> None:
    search(page, QUERY)
    result_ids(page, 24)
    page.route(
        "**/search",
        lambda route: route.fulfill(status=422, json={"code": "unknown_item", "status": 422}),
    )
    search(page, "蓝色")
    expect(page.locator("#problem h2")).to_have_text("商品不存在")
    expect(page.locator("#grid li")).to_have_count(0)


def test_an_unreachable_service(page: Page, site: Site) -> None:
    page.route("**/search", lambda route: route.abort(), times=1)
    search(page, QUERY)
    expect(page.locator("#problem h2")).to_have_text("无法连接服务")
    assert result_ids(page, 24)[:24] == site.ids(QUERY)


@pytest.mark.parametrize(
    ("path", "title"),
    [
        pytest.param("/?like=99999999", "商品不存在", id="unknown-item"),
        pytest.param(f"/?q={'长' * 600}", "查询过长", id="long-query"),
    ],
)
def test_a_link_with_an_invalid_query(opened: Open, site: Site, path: str, title: str) -> None:
    page = opened(site.url + path)
    expect(page.locator("#problem h2")).to_have_text(title)
    expect(page.locator("#problem .meta")).to_contain_text("请求编号")
    for remove in page.locator(".chip button").all():
        remove.click()
    search(page, QUERY)
    result_ids(page)
    expect(page.locator("#problem")).to_be_hidden()


@pytest.fixture
def two_versions(drawn: Path, tmp_path: Path) -> Iterator[tuple[Site, list[str]]]:
    """Serve the first of two versions of a bundle; return the names of both."""
    folder, smaller = tmp_path / "bundle", tmp_path / "smaller.tsv"
    smaller.write_bytes(b"".join(drawn.read_bytes().splitlines(keepends=True)[:60]))
    names = []
    for pool in (smaller, drawn):
        index(pool, folder, force=True)
        names.append((folder / "CURRENT").read_text().strip())
    (folder / "CURRENT").write_text(f"{names[0]}\n")
    with serving(folder, tmp_path / "log") as site:
        yield site, names


def test_the_index_changes_while_the_page_is_open(
    two_versions: tuple[Site, list[str]], opened: Open
) -> None:
    site, (old, new) = two_versions
    page = opened(site.url, viewport={"width": 800, "height": 300})
    search(page, QUERY)
    count = len(result_ids(page, 24))
    expect(page.locator("#meta")).to_contain_text(old[:8])
    (site.bundle / "CURRENT").write_text(f"{new}\n")
    reload = urllib.request.Request(f"{site.url}/admin/reload", method="POST")
    with urllib.request.urlopen(reload) as done:
        assert done.status == 200
    page.mouse.wheel(0, 50_000)
    expect(page.locator("#changed")).to_contain_text("索引刚刚更新")
    assert len(result_ids(page)) in {
        count,
        count + 24,
    }  # a page may have been loaded before the change
    page.locator("#changed button").click()
    expect(page.locator("#meta")).to_contain_text(new[:8])
    expect(page.locator("#status")).to_contain_text("共 240 件")
    assert result_ids(page, 24)[:24] == site.ids(QUERY)


HOSTILE = [
    '<img src=x onerror="document.title=1">',
    "<script>document.title=2</script>",
    '"><svg onload=alert(3)>',
    "javascript:alert(4)",
    "a/b/../c?d=e#f&g=h",
    "100% 纯棉 裙",
    "'; DROP TABLE items; --",
    "{{7*7}}${7*7}",
    "\u202eevil",
    "x" * 200,
]


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Site]:
    """Serve items whose ids are attacks, behind an API key."""
    pool, keys = tmp_path / "pool.tsv", tmp_path / "keys"
    pool.write_bytes(
        b"".join(
            f"{item_id}\t".encode() + base64.b64encode(image_bytes(seed, 96)) + b"\n"
            for seed, item_id in enumerate(HOSTILE)
        )
    )
    keys.write_text(f"{KEY}\n")
    index(pool, tmp_path / "bundle")
    with serving(tmp_path / "bundle", tmp_path / "log", TUSOU_API_KEYS=str(keys)) as site:
        yield site


def test_hostile_ids_are_shown_as_text_and_a_key_is_requested(hostile: Site, opened: Open) -> None:
    page = opened(hostile.url)
    expect(page.locator("#problem h2")).to_have_text("需要访问密钥")
    page.fill("#key", "not-the-key-of-this-service")
    page.keyboard.press("Enter")
    expect(page.locator("#problem h2")).to_have_text("需要访问密钥")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_be_hidden()
    search(page, "裙")
    assert sorted(result_ids(page, len(HOSTILE))) == sorted(HOSTILE)
    assert sorted(page.locator("#grid .id").all_inner_texts()) == sorted(HOSTILE)
    assert page.title() == "裙 · 图搜 Tusou"
    assert page.locator("#grid script, #grid svg").count() == 0
    # Every image is fetched with the key, for every id.
    wait_until(
        page,
        """count => count === [...document.querySelectorAll("#grid img")]
          .filter((image) => image.naturalWidth).length""",
        len(HOSTILE),
    )
    for position in range(3):
        item_id = page.locator("#grid .id").nth(position).inner_text()
        page.locator("#grid .image").nth(position).click()
        expect(page.locator("#about")).to_contain_text(item_id)
        page.keyboard.press("Escape")
    first = page.locator("#grid .id").first.inner_text()
    page.locator("#grid .like").first.click()
    expect(page.locator(".chip.like .name")).to_have_text(f"与 {first} 相似")
    assert first not in result_ids(page, len(HOSTILE) - 1)
    page.reload()  # the key stays in the tab, the id in the URL
    expect(page.locator(".chip.like .name")).to_have_text(f"与 {first} 相似")
    result_ids(page, len(HOSTILE) - 1)
