"""A real browser, the real service with a drawn data set, and a record of the page's requests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.pages import STARTED, TIMEOUT_SECONDS, Open, RequestRecord, wait_until
from tests.browser.serving import Site, index, run_tusou, serving

ITEMS = 240
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, help="folder for the READMEs' two images")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.timeout(300))  # the first test draws and indexes the data


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw a data set and return its image file."""
    folder = tmp_path_factory.mktemp("drawn")
    size = ["--items", str(ITEMS), "--queries", "20", "--seed", "2024"]
    run_tusou("toy", str(folder), *size, "--splits", "test")
    return folder / "MR_test_imgs.tsv"


@pytest.fixture(scope="session")
def bundle(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index the drawn images with the demo model."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    index(drawn, folder)
    return folder


@pytest.fixture(scope="session")
def site(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(bundle, tmp_path_factory.mktemp("site") / "log") as site:
        yield site


@pytest.fixture(scope="session")
def screenshot_site(
    site: Site, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Serve the demo's 3,000 items when `--screenshots` is given, else the small pool."""
    if request.config.getoption("--screenshots", default=None) is None:
        yield site
        return
    folder = tmp_path_factory.mktemp("screenshots")
    run_tusou("demo", "--dir", str(folder / "demo"))
    with serving(folder / "demo" / "bundle", folder / "log") as demo:
        yield demo


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    assert path, "Chromium is missing; on Debian: apt-get install chromium fonts-noto-cjk"
    with sync_playwright() as playwright:
        expect.set_options(timeout=TIMEOUT_SECONDS * 1000)
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def record() -> RequestRecord:
    return RequestRecord()


@pytest.fixture
def opened(browser: Browser, record: RequestRecord) -> Iterator[Open]:
    """Open URLs, each in a fresh profile; at the end check that no page used another host."""
    contexts: list[BrowserContext] = []
    own_hosts: set[str] = set()

    def open_url(url: str, **profile: object) -> Page:
        own_hosts.add(url.split("/")[2])
        usual = {"viewport": {"width": 1280, "height": 860}, "locale": "zh-CN"}
        context = browser.new_context(**{**usual, **profile})  # type: ignore[arg-type]
        context.set_default_timeout(TIMEOUT_SECONDS * 1000)
        contexts.append(context)
        context.on("request", record.add)
        context.on("weberror", lambda error: record.errors.append(str(error.error)))
        page = context.new_page()
        page.goto(url)
        wait_until(page, STARTED)
        return page

    yield open_url
    for context in contexts:
        context.close()
    assert record.hosts <= own_hosts | {"blob:"}
    assert record.errors == []


@pytest.fixture
def page(opened: Open, site: Site) -> Page:
    return opened(site.url)
