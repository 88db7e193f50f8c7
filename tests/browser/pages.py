"""What people do with the page, and what a test watches meanwhile."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from playwright.sync_api import Page, Request

# Opens an address in a fresh profile; takes the options of a browser context.
Open = Callable[..., Page]

_PATIENCE_SECONDS = 30


@dataclass
class Watch:
    """What the pages of a test asked for, and what went wrong in them."""

    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    asked: list[dict[str, object]] = field(default_factory=list)

    def see(self, request: Request) -> None:
        self.hosts.add(request.url.split("/")[2] if "//" in request.url else request.url[:5])
        if request.url.endswith("/search") and request.post_data:
            self.asked.append(json.loads(request.post_data))


def ask(page: Page, query: str) -> None:
    page.fill("#query", query)
    page.press("#query", "Enter")


def until(page: Page, condition: str, arg: object = None) -> None:
    """Wait for a function of the page to say true.

    Not wait_for_function: after its first look it evaluates text in the page, which the page's
    policy forbids.
    """
    deadline = monotonic() + _PATIENCE_SECONDS
    while not page.evaluate(condition, arg):
        assert monotonic() < deadline, f"never true: {condition}"
        page.wait_for_timeout(30)


def shown(page: Page, at_least: int = 1) -> list[str]:
    """Wait for results and list their ids."""
    until(page, "n => document.querySelectorAll('#grid .card:not(.blank)').length >= n", at_least)
    return page.locator("#grid .id").all_inner_texts()
