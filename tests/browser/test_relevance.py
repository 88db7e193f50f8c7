"""The page when nothing fits the query well enough."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from calibrated import add_calibration, make_calibration
from playwright.sync_api import Page, expect

import tusou
from tests.browser.pages import Open, result_ids, search
from tests.browser.serving import Site, serving

QUERIES = ("红色碎花吊带裙", "金色钢琴", "蓝色条纹马克杯", "白色运动鞋", "婴儿床")


@dataclass
class CalibratedSite(Site):
    """A service with a calibration that lies between two queries."""

    fitting: str
    unfit: str


@pytest.fixture(scope="module")
def calibrated(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CalibratedSite]:
    folder = tmp_path_factory.mktemp("calibrated")
    shutil.copytree(bundle, folder / "b")
    with tusou.open_bundle(folder / "b") as opened:
        best = {query: opened.search(query, 1).scores[0] for query in QUERIES}
    unfit, *_, fitting = sorted(best, key=best.__getitem__)
    center = (best[unfit] + best[fitting]) / 2
    add_calibration(folder / "b", make_calibration(128, center=center), folder)
    with serving(folder / "b", folder / "log") as site:
        yield CalibratedSite(site.url, site.bundle, site.pid, fitting, unfit)


def pale(page: Page) -> bool:
    opacity: str = page.locator("#grid .image img").first.evaluate(
        "image => getComputedStyle(image).opacity"
    )
    return float(opacity) < 1


def test_a_query_that_nothing_fits_has_a_notice_and_a_paler_grid(
    calibrated: CalibratedSite, opened: Open
) -> None:
    page = opened(calibrated.url)
    search(page, calibrated.unfit)
    assert result_ids(page, 24)[:24] == calibrated.ids(calibrated.unfit)
    expect(page.locator("#notices strong")).to_have_text("没有足够相似的商品")
    expect(page.locator("#grid .random")).to_have_count(0)  # the notice says so already
    page.mouse.move(0, 0)
    assert pale(page)
    search(page, calibrated.fitting)
    expect(page.locator("#notices strong")).to_have_count(0)
    assert result_ids(page, 24)[:24] == calibrated.ids(calibrated.fitting)
    assert not pale(page)


def test_the_notice_is_there_in_english_and_goes_with_the_query(
    calibrated: CalibratedSite, opened: Open
) -> None:
    page = opened(f"{calibrated.url}/?q={calibrated.unfit}", locale="en-US")
    expect(page.locator("#notices strong")).to_have_text("Nothing similar enough")
    page.locator("#grid .like").first.click()  # an item has no relevance
    expect(page.locator("#notices strong")).to_have_count(0)
    result_ids(page)
    assert not pale(page)


def test_the_score_names_the_relevance(calibrated: CalibratedSite, opened: Open) -> None:
    page = opened(f"{calibrated.url}/?q={calibrated.fitting}")
    result_ids(page)
    body = calibrated.call("/search", {"query": calibrated.fitting, "top_k": 1})
    (relevance,), (score,) = body["relevance"], body["scores"]  # type: ignore[misc]
    title = f"相似度 {score:.3f}，相关度 {100 * relevance:.0f}%"
    expect(page.locator("#grid .score").first).to_have_attribute("title", title)


def test_a_bundle_without_a_calibration_has_no_such_notice(page: Page) -> None:
    search(page, QUERIES[1])
    result_ids(page)
    expect(page.locator("#notices strong")).to_have_count(0)
    assert not pale(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_paler_page_can_be_read(calibrated: CalibratedSite, opened: Open, scheme: str) -> None:
    # axe injects a script, which the page's policy forbids.
    page = opened(f"{calibrated.url}/?q={calibrated.unfit}", color_scheme=scheme, bypass_csp=True)
    expect(page.locator("#notices strong")).to_have_count(1)
    result_ids(page)
    assert Axe().run(page).response["violations"] == []
