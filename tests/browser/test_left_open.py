"""A tab left open while events pour in: its memory stays bounded, and it goes on answering."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from statistics import median, quantiles

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.page import open_page
from browser.site import Site
from support.flood import Flood

MEGABYTES_ALLOWED = 300
ANSWER = """() => new Promise((done) => {
    const asked = performance.now();
    setTimeout(() => requestAnimationFrame(() => setTimeout(() => done((performance.now() - asked) / 1000))));
})"""
"""How long the page takes until it has done a task and painted a frame, in seconds."""


def renderers(browser: Browser) -> list[int]:
    """The process ids of the browser's tabs."""
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return [process["id"] for process in found if process["type"] == "renderer"]


def megabytes(browser: Browser) -> float:
    """What the largest tab takes: its own memory and its share of what is shared (PSS)."""
    sizes = [0]
    for pid in renderers(browser):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        sizes.append(sum(int(size) for size in re.findall(r"^(?:Pss|SwapPss): +([0-9]+) kB", rollup, re.MULTILINE)))
    return max(sizes) / 1024


def watch_flood(tab: Page, site: Site, browser: Browser, count: int, rate: float) -> None:
    """The tab while `count` events arrive."""
    open_page(tab, site, "#/overview")
    expect(tab.locator(".chart canvas")).to_have_count(4)
    elements = "document.querySelectorAll('*').length"
    flood = Flood(site.stream, count, rate)
    began = time.monotonic()
    last = tab.locator(".event-row", has_text=f"flood-{count - 1}")
    sizes, answers = [], []
    try:
        while not last.count():
            assert time.monotonic() - began < 600, "the last event does not arrive"
            answers.append(tab.evaluate(ANSWER))
            sizes.append(megabytes(browser))
            tab.wait_for_timeout(100)  # between two samples
    finally:
        flood.wait()
    seconds = time.monotonic() - began
    heap = tab.evaluate("performance.memory.usedJSHeapSize") / 2**20
    told = {
        "events": count,
        "seconds": round(seconds, 1),
        "largest PSS, MiB": round(max(sizes), 1),
        "JS heap at the end, MiB": round(heap, 1),
        "elements": tab.evaluate(elements),
        "answer in s, median": round(median(answers), 3),
        "answer in s, 95th percentile": round(quantiles(answers, n=20)[-1], 3),
    }
    print(told)
    if report := os.environ.get("BRAIN_REPORT"):
        Path(report).write_text(str(told))
    assert max(sizes) < MEGABYTES_ALLOWED, told
    assert tab.evaluate(elements) < 5_000, told  # 300 rows of 9 and the rest of the page
    assert median(answers) < 0.5, told

    tab.get_by_role("button", name="Pause", exact=True).click()
    expect(tab.locator(".held")).to_be_visible()
    tab.get_by_role("button", name="Resume", exact=True).click()
    site.ask("after-the-flood")
    expect(tab.locator(".event-row", has_text="after-the-flood").first).to_be_visible()


@pytest.mark.alone
def test_a_tab_stays_small_and_answers_while_10_000_events_arrive(tab: Page, own_site: Site, chromium: Browser) -> None:
    watch_flood(tab, own_site, chromium, 10_000, 4_000)


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_tab_stays_small_and_answers_while_200_000_events_arrive(
    tab: Page, own_site: Site, chromium: Browser
) -> None:
    watch_flood(tab, own_site, chromium, 200_000, 10_000)
