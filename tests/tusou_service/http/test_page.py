"""The search page's files: security policy, size, and texts in both languages."""

import re
from pathlib import Path

import pytest
import tusou_service
from fastapi.testclient import TestClient
from tusou_service.http.errors import PROBLEM_TYPES

WEB = Path(tusou_service.__file__).parent / "http" / "web"
FILES = sorted(WEB.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
SEARCH_PAGE = [path for path in FILES if not path.name.startswith("docs.")]
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}


def languages() -> list[str]:
    return [(WEB / name).read_text().partition("export default ")[2] for name in ("zh.js", "en.js")]


def test_the_policy_allows_only_the_pages_own_files(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert dict(part.strip().split(" ", 1) for part in policy.split(";")) == POLICY


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_never_writes_html(path: Path) -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|https?://"
    )
    assert re.findall(forbidden, path.read_text()) == []


@pytest.mark.parametrize("name", ["index.html", "docs.html"])
def test_a_page_has_no_inline_script_or_style(name: str) -> None:
    text = (WEB / name).read_text()
    assert re.findall(r"<style|\sstyle=|\son\w+=|https?:|//\w", text) == []
    assert re.findall(r"<script[^>]*>", text) == re.findall(
        r'<script[^>]* src="/static/[^>]*>', text
    )


def test_the_style_sheet_loads_no_files() -> None:
    assert re.findall(r"url\(|@import|//", (WEB / "style.css").read_text()) == []


@pytest.mark.parametrize("name", ["/", "/docs", *(f"/static/{path.name}" for path in FILES)])
def test_every_file_is_served_and_revalidated(client: TestClient, name: str) -> None:
    response = client.get(name)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"
    revalidated = client.get(name, headers={"If-None-Match": response.headers["etag"]})
    assert revalidated.status_code in {200, 304}
    for linked in re.findall(r'(?:src|href)="(/[^"]+)"', response.text):
        assert client.get(linked).status_code == 200, linked


def test_the_page_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in SEARCH_PAGE}
    unused = min(sizes["zh.js"], sizes["en.js"])  # one language is loaded
    assert sum(sizes.values()) - unused < 94_000  # a third of that on the wire


@pytest.mark.parametrize("language", languages(), ids=["zh", "en"])
def test_every_error_has_a_text(language: str) -> None:
    codes = set(re.findall(r'^    (\w+): \["[^"]+", "[^"]+"\],$', language, re.MULTILINE))
    assert {error.code for error in PROBLEM_TYPES} <= codes
    assert codes >= {"network", "other"}


def keys(language: str) -> set[str]:
    return set(re.findall(r"(\w+): ", re.sub(r'"[^"]*"|`[^`]*`', "", language)))


def test_both_languages_have_the_same_texts() -> None:
    chinese, english = map(keys, languages())
    assert chinese == english


def test_every_text_named_in_the_page_exists() -> None:
    text = (WEB / "index.html").read_text()
    named = set(re.findall(r'data-(?:text|label|title|hint)="(\w+)"', text))
    assert len(named) > 9
    for language in languages():
        assert named <= keys(language)
