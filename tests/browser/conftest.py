"""A real browser before the real service on a drawn pool, and an eye on all that it asks for."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.pages import Open, Watch
from tests.browser.serving import Site, serving, tusou

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
            item.add_marker(pytest.mark.timeout(300))  # the first draws, indexes and serves a pool


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw a pool."""
    folder = tmp_path_factory.mktemp("drawn")
    size = ["--items", str(ITEMS), "--queries", "20", "--seed", "2024"]
    tusou("toy", str(folder), *size, "--splits", "test")
    return folder / "MR_test_imgs.tsv"


@pytest.fixture(scope="session")
def bundle(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index that pool with the demo model."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    tusou("index", str(drawn), "--out", str(folder), "--model", "demo")
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
    tusou("demo", "--dir", str(folder / "demo"))
    with serving(folder / "demo" / "bundle", folder / "log") as demo:
        yield demo


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    assert path, "Chromium is missing; on Debian: apt-get install chromium fonts-noto-cjk"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def opened(browser: Browser, watch: Watch) -> Iterator[Open]:
    """Open addresses, each in a fresh profile; afterwards see that no page went elsewhere."""
    contexts: list[BrowserContext] = []
    own: set[str] = set()

    def open_(address: str, **profile: object) -> Page:
        own.add(address.split("/")[2])
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **profile})  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        contexts.append(context)
        context.on("request", watch.see)
        context.on("weberror", lambda error: watch.errors.append(str(error.error)))
        page = context.new_page()
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert watch.hosts <= own | {"blob:"}
    assert watch.errors == []


@pytest.fixture
def page(opened: Open, site: Site) -> Page:
    return opened(site.url)
