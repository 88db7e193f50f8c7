"""A report in a browser: its own font is sound, it asks for nothing, it fits a phone."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tusou_lab.report.build import ReportSpec
from tusou_lab.report.run import Inputs, make_report


@pytest.fixture(scope="module")
def report(bundle: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report on the drawn pool, searched as it is."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    queries = drawn.with_name("MR_test_queries.jsonl")
    make_report(Inputs((bundle,), (str(queries),)), ReportSpec(examples=2), out)
    return out


@pytest.fixture
def page(browser: Browser, report: Path) -> Page:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: asked.append(message.text))
    page.goto(report.as_uri())
    page.evaluate("document.fonts.ready")
    assert [one for one in asked if not one.startswith("data:")] == [report.as_uri()]
    return page


def test_its_font_is_one_that_a_browser_takes(page: Page) -> None:
    assert page.evaluate("[...document.fonts].map(one => one.status)") == ["loaded"]
    assert page.evaluate("document.fonts.check('16px \"Tusou Report\"', '成功与失败的例子')")


def test_it_fits_a_phone(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_every_image_and_chart_is_there(page: Page) -> None:
    sizes = page.evaluate("[...document.images].map(one => one.naturalWidth)")
    assert len(sizes) > 12
    assert min(sizes) > 0
    assert page.locator(".chart svg").count() >= 3
