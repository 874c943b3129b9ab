"""The system's Chromium against a real server; a tab fails its test when the page errs or calls another host."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from browser.page import Watch
from browser.site import Site

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
"""The headless shell where there is one: the same engine, without the windows and pages of a whole browser."""
SWITCHED_OFF = (
    "PreloadTopChromeWebUI",  # the browser's own pages, which nobody sees: a renderer for each tab
    # The option goes before Playwright's own, so what that switches off for the sake of tests is here again.
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades", "LensOverlay"),
    *("MediaRouter", "OptimizationHints", "PaintHolding", "ThirdPartyStoragePartitioning"),
)
ARGUMENTS = [
    f"--disable-features={','.join(SWITCHED_OFF)}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-precise-memory-info",
]

expect.set_options(timeout=30_000)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for this folder; while it lives its loop occupies the main thread, which async tests need."""
    assert CHROMIUM, "Chromium is not installed; run `make setup-test` (Debian: apt-get install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def consumers(request: pytest.FixtureRequest) -> tuple[str, ...] | None:
    """The plug-ins that consume events in the module's servers: its `CONSUMERS`, else all. Each costs a server much."""
    return getattr(request.module, "CONSUMERS", None)


@pytest.fixture(scope="module")
def site(consumers: tuple[str, ...] | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that the module's tests share: they tell their events apart by names of their own."""
    server = Site(tmp_path_factory.mktemp("site"), consumers=consumers)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def fresh_site(consumers: tuple[str, ...] | None, tmp_path: Path) -> Iterator[Site]:
    """A server of the test's own."""
    server = Site(tmp_path, consumers=consumers)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def own_site(consumers: tuple[str, ...] | None, tmp_path: Path) -> Iterator[Site]:
    """A server of the test's own in a process of its own, to be killed and restarted."""
    server = Site(tmp_path, own_process=True, consumers=consumers)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def watch(tab: Page) -> Watch:
    """The watch over `tab`."""
    return _watches[tab]


_watches: dict[Page, Watch] = {}


@pytest.fixture
def tab(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh tab; options of its context come by `@pytest.mark.parametrize("tab", [{...}], indirect=True)`."""
    options = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light", "reduced_motion": "reduce"}
    options |= getattr(request, "param", {})
    context = chromium.new_context(**options)
    page = context.new_page()
    seen = _watches[page] = Watch(page)
    yield page
    context.close()
    del _watches[page]
    assert seen.faults == []
    assert len(seen.hosts) <= 1, f"requests left for {seen.hosts}"
