"""The search page as files: what it may do, what it weighs, and what it has words for."""

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
    text = (WEB / "strings.js").read_text()
    _, chinese, english = re.split(r"^const (?:zh|en) = ", text, flags=re.MULTILINE)
    return [chinese, english.split("\n};")[0]]


def test_nothing_but_its_own_files_may_run_or_load(client: TestClient) -> None:
    said = client.get("/").headers["content-security-policy"]
    assert dict(part.strip().split(" ", 1) for part in said.split(";")) == POLICY


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_writes_text_and_nothing_else(path: Path) -> None:
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


def test_the_style_loads_nothing() -> None:
    assert re.findall(r"url\(|@import|//", (WEB / "style.css").read_text()) == []


@pytest.mark.parametrize("name", ["/", "/docs", *(f"/static/{path.name}" for path in FILES)])
def test_every_file_is_served_and_never_stale(client: TestClient, name: str) -> None:
    response = client.get(name)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"
    again = client.get(name, headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code in {200, 304}
    for linked in re.findall(r'(?:src|href)="(/[^"]+)"', response.text):
        assert client.get(linked).status_code == 200, linked


def test_it_is_light() -> None:
    assert sum(path.stat().st_size for path in SEARCH_PAGE) < 60_000


@pytest.mark.parametrize("language", languages(), ids=["zh", "en"])
def test_it_has_words_for_every_error(language: str) -> None:
    said = set(re.findall(r'^    (\w+): \["[^"]+", "[^"]+"\],$', language, re.MULTILINE))
    assert {error.code for error in PROBLEM_TYPES} <= said
    assert said >= {"network", "other"}


def keys(language: str) -> set[str]:
    return set(re.findall(r"(\w+): ", re.sub(r'"[^"]*"|`[^`]*`', "", language)))


def test_both_languages_say_the_same_things() -> None:
    chinese, english = map(keys, languages())
    assert chinese == english


def test_every_word_the_page_names_exists() -> None:
    text = (WEB / "index.html").read_text()
    named = set(re.findall(r'data-(?:text|label|title|hint)="(\w+)"', text))
    assert len(named) > 9
    for language in languages():
        assert named <= keys(language)
