"""Actions of a user on the page, and a record of the page's requests."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from playwright.sync_api import Page, Request

# Opens a URL in a fresh profile; takes the options of a browser context.
Open = Callable[..., Page]

# True when the search page takes input; its language is loaded after the load event.
STARTED = "() => document.querySelector('#language')?.textContent !== ''"

TIMEOUT_SECONDS = 30  # for one step, on a slow machine


@dataclass
class RequestRecord:
    """The hosts, the errors and the search requests of a test's pages."""

    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    searches: list[dict[str, object]] = field(default_factory=list)

    def add(self, request: Request) -> None:
        self.hosts.add(request.url.split("/")[2] if "//" in request.url else request.url[:5])
        if request.url.endswith("/search") and request.post_data:
            self.searches.append(json.loads(request.post_data))


def search(page: Page, query: str) -> None:
    page.fill("#query", query)
    page.press("#query", "Enter")


def wait_until(page: Page, condition: str, arg: object = None) -> Any:
    """Wait until a JavaScript function returns what is true in JavaScript, and return that.

    Playwright's wait_for_function does not work here: after its first try it evaluates text in
    the page, which the page's policy forbids.
    """
    deadline = monotonic() + TIMEOUT_SECONDS
    while not (value := page.evaluate(condition, arg)):
        assert monotonic() < deadline, (
            f"not true in time: {condition}; the page reads: {page.locator('body').inner_text()}"
        )
        page.wait_for_timeout(30)
    return value


def result_ids(page: Page, at_least: int = 1) -> list[str]:
    """Wait for the results of the last search and return their ids."""
    ids: list[str] = wait_until(
        page,
        """count => {
          const cards = "#grid:not([aria-busy], [inert]) .card:not(.blank)";
          const ids = [...document.querySelectorAll(cards)].map((card) => card.dataset.id);
          return ids.length >= count && ids;
        }""",
        at_least,
    )
    return ids
