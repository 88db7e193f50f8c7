"""A report in a browser: its font loads, it makes no requests, it fits a phone."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tusou_lab.report.inputs import ReportSpec
from tusou_lab.report.run import make_report


@pytest.fixture(scope="module")
def report(bundle: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report on a search of the drawn pool."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    queries = drawn.with_name("MR_test_queries.jsonl")
    make_report(ReportSpec((bundle,), (str(queries),), examples=2), out)
    return out


@pytest.fixture
def page(browser: Browser, report: Path) -> Page:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    events: list[str] = []
    page.on("request", lambda request: events.append(request.url))
    page.on("console", lambda message: events.append(message.text))
    page.goto(report.as_uri())
    page.evaluate("document.fonts.ready")
    assert [event for event in events if not event.startswith("data:")] == [report.as_uri()]
    return page


def test_its_font_loads(page: Page) -> None:
    assert page.evaluate("[...document.fonts].map(font => font.status)") == ["loaded"]
    assert page.evaluate("document.fonts.check('16px \"Tusou Report\"', '成功与失败示例')")


def test_it_fits_a_phone(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_images_and_charts_are_shown(page: Page) -> None:
    sizes = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(sizes) > 12
    assert min(sizes) > 0
    assert page.locator(".chart svg").count() >= 3
