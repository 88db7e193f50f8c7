"""What people do with the page, and what a test watches meanwhile."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import Page, Request

# Opens an address in a fresh profile; takes the options of a browser context.
Open = Callable[..., Page]


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


def shown(page: Page, at_least: int = 1) -> list[str]:
    """Wait for results and list their ids."""
    page.wait_for_function(
        "n => document.querySelectorAll('#grid .card:not(.blank)').length >= n", arg=at_least
    )
    return page.locator("#grid .id").all_inner_texts()
