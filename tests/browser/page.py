"""A tab with the dashboard in it, and the watch over what it does."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, Response, expect

from browser.site import Site

NEXT_LOOK = 5_000
"""Milliseconds after which the page looks again at what it shows; with `tab.clock` a test needs not wait for them."""
NEXT_WORDS = 3_000
"""Milliseconds that the page leaves between two messages to screen readers."""


def open_page(tab: Page, site: Site, hash: str = "") -> None:
    """Open the page and wait until its feed is live."""
    tab.goto(f"{site.url}/{hash}")
    expect(tab.locator(".badge")).to_have_attribute("data-state", "live")


class Watch:
    """What a page did that a user does not see."""

    def __init__(self, page: Page) -> None:
        self.hosts: set[str] = set()
        self.faults: list[str] = []
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))

    def _request(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.hosts.add(urlsplit(request.url).netloc)

    def _response(self, response: Response) -> None:
        if "/static/" in response.url and response.status >= 400:
            self.faults.append(f"{response.status} for {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium writes this line for every refused request; tests cause refusals on purpose.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"{message.type}: {message.text}")
