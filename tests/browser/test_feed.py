"""The live feed: what is published appears, is filtered, waits, and can be inspected."""

from __future__ import annotations

import re
import time
from statistics import median

from playwright.sync_api import Page, expect

from browser.page import open_page
from browser.site import Site
from support.flood import Flood

CONSUMERS = ()
ROWS = 300


def test_an_event_appears_within_a_second_of_its_publishing(tab: Page, site: Site) -> None:
    open_page(tab, site)
    taken = []
    for attempt in range(7):
        published = time.monotonic()
        site.ask(f"quick-{attempt}")
        expect(tab.locator(".event-row", has_text=f"quick-{attempt}").first).to_be_visible()
        taken.append(time.monotonic() - published)
    assert median(taken) < 1, taken  # a machine busy with other things may stumble once


def test_recent_events_are_there_when_the_page_is_opened_later(tab: Page, site: Site) -> None:
    site.ask("early-bird", role="guest")
    open_page(tab, site)
    row = tab.locator(".event-row", has_text="early-bird").filter(has_text="policy.action_denied")
    expect(row.locator(".chip")).to_have_text("CRITICAL")
    expect(row).to_have_attribute("data-level", "DENY")


def test_a_pattern_shows_only_its_types_and_stays_in_the_address(tab: Page, site: Site) -> None:
    open_page(tab, site)
    tab.get_by_label("Types").fill("threat.*")
    expect(tab).to_have_url(re.compile(r"pattern=threat\.\*"))
    site.ask("filtered-out")
    site.threat("192.0.2.10")
    expect(tab.locator(".event-row", has_text="192.0.2.10").first).to_be_visible()
    tab.reload()
    expect(tab.locator(".event-row", has_text="192.0.2.10").first).to_be_visible()
    expect(tab.get_by_label("Types")).to_have_value("threat.*")
    types = tab.locator(".event-row .event-type").all_text_contents()
    assert types
    assert all(name.startswith("threat.") for name in types)
    assert tab.locator(".event-row", has_text="filtered-out").count() == 0


def test_a_pattern_that_cannot_match_is_refused_in_words(tab: Page, site: Site) -> None:
    open_page(tab, site)
    tab.get_by_label("Types").fill("Threat!")
    expect(tab.get_by_role("alert").filter(has_text="pattern")).to_contain_text("Threat!")
    expect(tab.locator(".badge")).to_have_attribute("data-state", "refused")
    tab.get_by_label("Types").fill("policy.*")
    expect(tab.locator(".badge")).to_have_attribute("data-state", "live")
    expect(tab.get_by_role("alert").filter(has_text="pattern")).to_have_count(0)


def test_priority_and_text_narrow_the_feed(tab: Page, site: Site) -> None:
    open_page(tab, site, "#/events?priority=CRITICAL&q=Narrow-7")
    site.ask("narrow-7", role="guest")
    site.ask("narrow-8", role="guest")
    expect(tab.locator(".event-row")).to_have_count(1)
    expect(tab.locator(".event-row")).to_contain_text("policy.action_denied")
    expect(tab.get_by_label("Priority")).to_have_value("CRITICAL")
    tab.get_by_label("Priority").select_option("")
    expect(tab.locator(".event-row")).to_have_count(2)
    assert "priority" not in tab.url


def test_pause_holds_the_feed_and_resume_shows_what_came(tab: Page, site: Site) -> None:
    open_page(tab, site, "#/overview?pattern=policy.*&q=-pause")
    site.ask("before-pause")
    expect(tab.locator(".event-row", has_text="before-pause")).to_have_count(2)  # the evaluation and its denial
    tab.get_by_role("button", name="Pause", exact=True).click()
    for number in range(3):
        site.ask(f"while-paused-{number}", role="nobody")
    expect(tab.locator(".held")).to_contain_text("6 new events")
    assert tab.locator(".event-row", has_text="while-paused").count() == 0
    tab.get_by_role("button", name="Resume", exact=True).click()
    expect(tab.locator(".event-row", has_text="while-paused")).to_have_count(6)
    expect(tab.locator(".held")).to_be_hidden()


def test_the_feed_keeps_a_bounded_number_of_rows(tab: Page, site: Site) -> None:
    open_page(tab, site, "#/overview?pattern=policy.*")
    Flood(site.stream, ROWS + 100, rate=2_000).wait()
    expect(tab.locator(".event-row").first).to_contain_text(f"flood-{ROWS + 99}")
    expect(tab.locator(".event-row")).to_have_count(ROWS)


def test_what_an_event_carries_is_text_never_markup(tab: Page, site: Site) -> None:
    open_page(tab, site, "#/overview?pattern=threat.*")
    hostile = '<img src=x onerror="document.title=1"><script>alert(1)</script>'
    site.threat("192.0.2.66", "CRITICAL", hostile, metadata={"evidence": {"<b>bold</b>": 3}})
    row = tab.locator(".event-row", has_text="192.0.2.66").first
    expect(row).to_contain_text(hostile)
    expect(tab.locator(".card", has_text="192.0.2.66")).to_contain_text("<b>bold</b>")
    row.click()
    expect(tab.locator("#inspector")).to_contain_text(hostile)
    assert tab.locator("#main img, #main script, #inspector img, #inspector b:text('bold')").count() == 0


def test_the_inspector_shows_the_envelope_and_the_story(tab: Page, site: Site) -> None:
    threat = site.threat("192.0.2.20")
    site.move(threat["id"], "ESCALATED")
    open_page(tab, site, "#/events")
    tab.locator(".event-row", has_text="192.0.2.20").filter(has_text="threat.detected").click()
    inspector = tab.locator("#inspector")
    expect(inspector.get_by_role("heading", name="threat.detected")).to_be_focused()
    [event] = [
        stored["event"]
        for stored in site.get("/events", pattern="threat.detected")["events"]
        if stored["event"]["payload"]["threat_id"] == threat["id"]
    ]
    expect(inspector).to_contain_text(event["id"])
    expect(inspector).to_contain_text("80 failed passwords")
    told = inspector.locator(".timeline .event-type", has_text=re.compile(r"^threat\."))
    expect(told).to_have_text(["threat.detected", "threat.status_changed", "threat.escalated"])
    told.nth(1).click()
    expect(inspector.get_by_role("heading", name="threat.status_changed")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(inspector).to_be_hidden()
    assert "event=" not in tab.url

    tab.goto(f"{site.url}/#/events?event={event['id']}")
    expect(inspector).to_contain_text(event["id"])
    tab.goto(f"{site.url}/#/events?event=evt_policy_1_000000000000")
    expect(inspector.get_by_role("alert")).to_contain_text("not in the stream")


def test_the_feed_is_usable_with_the_keyboard_alone(tab: Page, site: Site) -> None:
    site.ask("keys-1", role="nobody")
    open_page(tab, site, "#/events?q=keys-1")
    expect(tab.locator(".event-row")).to_have_count(2)
    tab.get_by_role("button", name="Pause", exact=True).focus()
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("list", name="Events, newest first")).to_be_focused()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    expect(tab.locator(".event-row").nth(1)).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.locator("#inspector h2")).to_be_focused()
    tab.keyboard.press("Escape")
    expect(tab.locator(".event-row").nth(1)).to_be_focused()
