"""The live connection: cut, resumed, begun anew, asleep, and closed to those without the key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from browser.page import open_page
from browser.site import Site

CONSUMERS = ()
KEY = "a-key-for-this-test-alone"


def rows(tab: Page, text: str) -> list[str]:
    """The feed's lines that hold `text`, oldest first."""
    return tab.locator(".event-row", has_text=text).locator(".event-text span").all_text_contents()[::-1]


def test_the_feed_goes_on_where_it_stopped_after_a_killed_server_is_back(tab: Page, own_site: Site) -> None:
    own_site.rule("all", "ALLOW")
    open_page(tab, own_site, "#/events?pattern=policy.rule_evaluated")
    own_site.ask("resume-1")
    expect(tab.locator(".event-row", has_text="resume-1")).to_be_visible()
    own_site.kill()
    expect(tab.locator(".badge")).to_have_attribute("data-state", "waiting")
    expect(tab.locator(".notice", has_text="does not answer")).to_be_visible()
    own_site.start()
    for number in (2, 3, 4):  # before the page is back
        own_site.ask(f"resume-{number}")
    expect(tab.locator(".badge")).to_have_attribute("data-state", "live", timeout=60_000)
    own_site.ask("resume-5")
    expect(tab.locator(".event-row", has_text="resume-5")).to_be_visible()
    assert [line.split(" · ")[0] for line in rows(tab, "resume-")] == [f"resume-{number}" for number in range(1, 6)]
    expect(tab.locator(".notice", has_text="does not answer")).to_be_hidden()


def test_a_stream_made_anew_is_shown_from_its_own_beginning(tab: Page, own_site: Site) -> None:
    open_page(tab, own_site, "#/events")
    own_site.ask("old-life")
    expect(tab.locator(".event-row", has_text="old-life").first).to_be_visible()
    own_site.kill()
    expect(tab.locator(".badge")).to_have_attribute("data-state", "waiting")
    for leftover in sorted(own_site.folder.rglob("*"), reverse=True):
        leftover.rmdir() if leftover.is_dir() else leftover.unlink()
    own_site.start()
    own_site.ask("new-life")
    expect(tab.locator(".event-row", has_text="new-life").first).to_be_visible(timeout=60_000)
    expect(tab.locator(".event-row", has_text="old-life")).to_have_count(0)


def test_a_hidden_tab_lets_go_of_its_connection_and_catches_up(tab: Page, fresh_site: Site) -> None:
    tab.clock.install()
    tab.add_init_script("Object.defineProperty(document, 'hidden', {get: () => window.away === true})")
    open_page(tab, fresh_site, "#/events")
    turn = "(away) => { window.away = away; document.dispatchEvent(new Event('visibilitychange')); }"
    tab.evaluate(turn, True)
    tab.clock.run_for(61_000)
    expect(tab.locator(".badge")).to_have_attribute("data-state", "asleep")
    fresh_site.ask("while-asleep")
    tab.evaluate(turn, False)
    expect(tab.locator(".badge")).to_have_attribute("data-state", "live")
    tab.clock.run_for(1000)
    expect(tab.locator(".event-row", has_text="while-asleep").first).to_be_visible()


def test_the_first_event_is_shown_when_it_is_stored_while_the_page_connects(tab: Page, fresh_site: Site) -> None:
    """The history was empty when it was read, and the connection is not made yet."""

    def store_first(route: Route) -> None:
        fresh_site.ask("in-between")
        fresh_site.until(lambda: fresh_site.get("/events")["events"], "stored")
        route.continue_()

    tab.route("**/api/events/live?*", store_first, times=1)
    open_page(tab, fresh_site, "#/events")
    expect(tab.locator(".event-row", has_text="in-between").first).to_be_visible()


@pytest.fixture
def locked_site(tmp_path: Path) -> Iterator[Site]:
    server = Site(tmp_path, KEY, consumers=CONSUMERS)
    try:
        yield server.start()
    finally:
        server.close()


def test_the_page_asks_for_the_key_and_then_shows_everything(tab: Page, locked_site: Site) -> None:
    locked_site.ask("behind-the-lock")
    tab.goto(f"{locked_site.url}/#/events?q=behind")
    dialog = tab.get_by_role("dialog", name="Sign in")
    dialog.get_by_label("API key").fill("not the key")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_have_text("That is not the key.")
    assert tab.locator(".event-row").count() == 0
    dialog.get_by_label("API key").fill(KEY)
    dialog.get_by_label("API key").press("Enter")
    expect(dialog).to_be_hidden()
    expect(tab.locator(".event-row", has_text="behind-the-lock").first).to_be_visible()
    tab.reload()
    expect(tab.locator(".event-row", has_text="behind-the-lock").first).to_be_visible()
    tab.get_by_role("button", name="Sign out").click()
    expect(dialog).to_be_visible()
    tab.reload()
    expect(dialog).to_be_visible()
