"""The search page of an index of texts."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import Open, result_ids, search, wait_until
from tests.browser.serving import Site, index, serving
from tests.browser.test_quality import violations

HOSTILE = '<img src="x" onerror="document.title=1"> 陷阱'


@pytest.fixture(scope="module")
def site(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("texts")
    captions = (drawn.parent / "MR_test_captions.jsonl").read_text("utf-8")
    trap = json.dumps({"text_id": 7, "text": HOSTILE}, ensure_ascii=False)
    (folder / "texts.jsonl").write_text(f"{captions}{trap}\n", "utf-8")
    index(folder / "texts.jsonl", folder / "b")
    with serving(folder / "b", folder / "log") as site:
        yield site


@pytest.fixture(scope="module")
def file(drawn: Path) -> dict[str, object]:
    _, encoded = drawn.read_text("ascii").split("\n")[0].split("\t")
    return {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": base64.b64decode(encoded)}


def shown_texts(page: Page) -> list[str]:
    elements = "document.querySelectorAll('#grid .item-text')"
    wait_until(page, f"() => [...{elements}].slice(0, 3).every((element) => element.textContent)")
    return page.locator("#grid .item-text").all_inner_texts()


def test_an_image_finds_texts(page: Page, site: Site, file: dict[str, object]) -> None:
    expect(page.locator("h1")).to_have_text("上传图片，搜索描述它的文字")
    expect(page.locator("#pick")).to_have_text("用图片搜索")
    assert page.evaluate("document.querySelector('#pick').nextElementSibling.id") == "query"
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    ids = result_ids(page, 24)
    first = shown_texts(page)[:3]
    assert first == [site.call(f"/items/{item_id}")["text"] for item_id in ids[:3]]
    assert page.locator("#grid img").count() == 0
    assert set(page.locator("#grid .id").all_inner_texts()) == {""}  # a text is its own name
    expect(page.locator("#status")).to_contain_text("条")


def test_texts_of_the_pool_are_samples(page: Page, site: Site) -> None:
    ids = site.call("/info")["sample_item_ids"]
    assert isinstance(ids, list)
    links = page.locator("#samples a")
    expect(links).to_have_count(5)
    assert links.all_inner_texts() == [site.call(f"/items/{i}")["text"] for i in ids[:5]]
    expect(page.locator("#sampleItems li")).to_have_count(0)
    links.first.click()
    result_ids(page, 24)
    assert shown_texts(page)[0] == site.call(f"/items/{ids[0]}")["text"]


def test_a_text_is_never_shown_as_html(page: Page) -> None:
    search(page, "陷阱")
    result_ids(page)
    expect(page.locator("#grid .item-text", has_text="陷阱")).to_have_text(HOSTILE)
    assert page.title() != "1"


def test_a_query_by_item_shows_the_items_text(
    opened: Open, site: Site, file: dict[str, object]
) -> None:
    page = opened(site.url)
    page.locator("#language").click()
    expect(page.locator("h1")).to_have_text("Find texts with an image")
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    item_id, text = result_ids(page, 24)[1], shown_texts(page)[1]
    page.locator("#grid .like").nth(1).click()
    expect(page.locator(".chip.like .name")).to_have_text(f"similar to {text}")
    assert item_id not in result_ids(page, 24)
    page.locator("#grid .image").first.click()
    expect(page.locator("#large .item-text")).to_have_text(shown_texts(page)[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violations(
    opened: Open, site: Site, file: dict[str, object], scheme: Literal["light", "dark"]
) -> None:
    page = opened(site.url, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    expect(page.locator("#pick")).to_have_text("用图片搜索")
    assert violations(page) == []
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    result_ids(page, 24)
    shown_texts(page)
    assert violations(page) == []
