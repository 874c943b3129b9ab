"""The overview's charts: the recorded metrics as pictures, as words and as tables."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.page import NEXT_LOOK, open_page
from browser.site import Site


def chart(tab: Page, title: str) -> Locator:
    return tab.get_by_role("region", name=title, exact=True)


@pytest.fixture(scope="module")
def busy(site: Site) -> Site:
    """A server with decisions, health events and threats in its metrics."""
    site.rule("staff", "ALLOW", ("agent_role", "==", "staff"))
    for number in range(9):
        site.ask(f"agent-{number}", role=("staff", "staff", "nobody")[number % 3])
    site.health("CRITICAL", "AGENT_FAILURE", "billing-agent", "gone")
    threat = site.threat("203.0.113.5", "CRITICAL")
    site.threat("203.0.113.6", "LOW")
    site.move(threat["id"], "MITIGATED")
    site.until(lambda: counted(site) >= 9, "decisions counted")
    return site


def counted(site: Site) -> int:
    """Decisions in the metrics."""
    return int(sum(site.get("/metrics/summary")["decisions"].values()))


def test_charts_show_what_was_counted_in_words_and_as_tables(tab: Page, busy: Site) -> None:
    tab.clock.install()
    open_page(tab, busy)
    decisions = chart(tab, "Decisions by effect")
    expect(decisions.locator("li")).to_have_text(["ALLOW 6", "DENY 3"])
    expect(decisions.get_by_role("img")).to_have_accessible_name("Decisions by effect: ALLOW 6, DENY 3")
    expect(decisions).to_contain_text("33.3 % denied")
    expect(decisions.locator("canvas")).to_be_visible()
    decisions.get_by_text("Table", exact=True).click()
    table = decisions.get_by_role("table", name="Decisions by effect, as a table")
    expect(table.get_by_role("columnheader")).to_have_text(["Time", "ALLOW", "DENY"])
    expect(table.locator("tbody tr").first).to_contain_text(re.compile(r"[0-9]"))

    events = chart(tab, "Events by severity")
    expect(events.locator("li", has_text="CRITICAL")).to_have_text(re.compile(r"CRITICAL [1-9]"))
    score = busy.get("/immune/health")["score"]
    expect(chart(tab, "Health score").locator("li")).to_have_text(f"Health score {score}")
    expect(chart(tab, "Time to mitigate (MTTM)")).to_contain_text("1 open, mean age")

    tab.get_by_role("link", name="24 h", exact=True).click()
    expect(tab).to_have_url(re.compile("range=24h"))
    expect(tab.get_by_role("link", name="24 h", exact=True)).to_have_attribute("aria-current", "true")
    expect(decisions.locator("li")).to_have_text(["ALLOW 6", "DENY 3"])
    busy.ask("agent-late", role="nobody")
    busy.until(lambda: counted(busy) == 10, "the late decision counted")
    tab.clock.fast_forward(NEXT_LOOK)  # the charts keep themselves current
    expect(decisions.locator("li")).to_have_text(["ALLOW 6", "DENY 4"])


def test_charts_are_drawn_in_the_colours_of_the_theme(tab: Page, busy: Site) -> None:
    open_page(tab, busy)
    canvas = chart(tab, "Decisions by effect").locator("canvas")
    expect(canvas).to_be_visible()
    light = canvas.screenshot()
    tab.get_by_role("button", name="Switch to the dark theme").click()
    ink = """(canvas) => {
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let brightest = 0;
        for (let place = 0; place < pixels.length; place += 4)
            if (pixels[place + 3] > 200)
                brightest = Math.max(brightest, pixels[place] + pixels[place + 1] + pixels[place + 2]);
        return brightest;
    }"""
    expect(tab.locator("html")).to_have_attribute("data-theme", "dark")
    busy.until(lambda: canvas.evaluate(ink) > 400, "the axes' light figures on the dark ground")
    assert canvas.screenshot() != light


def test_a_server_without_the_figures_leaves_the_old_ones_and_says_so(tab: Page, busy: Site) -> None:
    tab.clock.install()
    open_page(tab, busy)
    decisions = chart(tab, "Decisions by effect")
    figures = re.compile("^DENY [34]$")  # one more was asked for, or not yet
    expect(decisions.locator("li").last).to_have_text(figures)
    tab.route("**/api/metrics/**", lambda route: route.abort())
    tab.clock.fast_forward(NEXT_LOOK)
    expect(decisions.get_by_text("Not up to date since")).to_be_visible()
    expect(decisions.locator("li").last).to_have_text(figures)
    tab.unroute("**/api/metrics/**")
    tab.clock.fast_forward(NEXT_LOOK)
    expect(decisions.get_by_text("Not up to date since")).to_be_hidden()
