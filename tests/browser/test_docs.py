"""The documentation page: its fields, and its forms, with and without API keys."""

import json
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.pages import Open, RequestRecord
from tests.browser.serving import Site, serving

KEY = "a-key-for-the-documentation"


def open_form(page: Page, call: str) -> Locator:
    section = page.locator(f"#{call}")
    section.get_by_text("Try it", exact=True).click()
    return section.locator("form")


def test_every_field_of_a_request_is_explained(opened: Open, site: Site) -> None:
    page = opened(f"{site.url}/docs")
    expect(page.locator("#post-search h2")).to_have_text("POST/search")
    schemas = site.call("/openapi.json")["components"]["schemas"]  # type: ignore[index]
    for call, model in (
        ("post-search", "SearchRequest"),
        ("post-v1-embeddings", "EmbeddingRequest"),
    ):
        rows = page.locator(f"#{call} h3:text-is('Body') + .scroll tbody tr")
        fields = schemas[model]["properties"]
        expect(rows).to_have_count(len(fields))
        for name, field in fields.items():
            row = rows.filter(has=page.locator(f"td:first-child code:text-is('{name}')"))
            expect(row).to_contain_text(field["description"])
            expect(row.locator("td:last-child")).to_have_text(
                json.dumps(field["examples"][0], ensure_ascii=False, separators=(",", ":"))
            )
    row = page.locator("#post-search tr").filter(has_text="top_k").first
    expect(row).to_contain_text("integer, 1 to 1000")
    expect(row).to_contain_text("default 10")


def test_a_call_can_be_tried(opened: Open, site: Site, record: RequestRecord) -> None:
    page = opened(f"{site.url}/docs")
    form = open_form(page, "post-search")
    form.locator("textarea").fill('{"query": "红色", "top_k": 2}')
    form.get_by_label("X-Request-Id").fill("from-the-docs")
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".answer")).to_contain_text("HTTP 200")
    expect(form.locator(".answer")).to_contain_text("x-request-id: from-the-docs")
    for item_id in site.ids("红色", 2):
        expect(form.locator(".answer")).to_contain_text(item_id)
    form.locator("textarea").fill('{"query": 5}')
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".answer")).to_contain_text("invalid_request")
    form = open_form(page, "get-items-item-id-image")
    form.get_by_label("item_id").fill(site.ids("红色", 1)[0])
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".answer img")).to_be_visible()
    assert page.evaluate("document.querySelector('.answer img').naturalWidth") > 0
    assert record.hosts == {site.url.removeprefix("http://")}


def test_an_image_can_be_uploaded(opened: Open, site: Site, drawn: Path, tmp_path: Path) -> None:
    item_id = site.ids("红色", 1)[0]
    page = opened(f"{site.url}/docs")
    image = page.request.get(f"{site.url}/items/{item_id}/image")
    file = tmp_path / ("image." + image.headers["content-type"].split("/")[1])
    file.write_bytes(image.body())
    form = open_form(page, "post-search-image")
    form.get_by_label("image", exact=True).set_input_files(file)
    form.get_by_label("top_k").fill("1")
    form.get_by_label("exclude").fill("1, 2")
    form.get_by_label("X-Request-Timeout-Ms").fill("30000")
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".answer")).to_contain_text(item_id, timeout=60_000)


def test_a_service_with_keys_is_read_with_a_key(opened: Open, bundle: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY} metrics\n")
    with serving(bundle, tmp_path / "log", TUSOU_API_KEYS=str(keys)) as site:
        page = opened(f"{site.url}/docs")
        expect(page.locator("#status")).to_contain_text("enter one")
        expect(page.locator("#calls section")).to_have_count(0)
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#calls section").first).to_be_visible()
        form = open_form(page, "get-metrics")
        form.get_by_role("button", name="Send").click()
        expect(form.locator(".answer")).to_contain_text("tusou_ready 1.0")
        form = open_form(page, "post-admin-reload")
        form.get_by_role("button", name="Send").click()
        expect(form.locator(".answer")).to_contain_text("Needs the scope admin.")
        page.reload()
        expect(page.locator("#calls section").first).to_be_visible()
