"""The audit view: verification in one click, search, and what it says when somebody changed the log."""

from __future__ import annotations

import re
import sqlite3

from playwright.sync_api import Page, expect

from browser.page import open_page
from browser.site import Site

CONSUMERS = ("audit",)


def logged(site: Site) -> None:
    """Wait until everything published so far is in the audit log."""
    site.settle()
    stored = len(site.get("/events", limit=1000)["events"])
    site.until(lambda: site.get("/audit")["size"] >= stored, "the events logged")


def test_the_log_is_searched_and_verified_in_one_click(tab: Page, site: Site) -> None:
    for number in range(60):
        site.ask(f"agent-{number % 3}", role="nobody")
    threat = site.threat("203.0.113.9", "HIGH")
    logged(site)
    open_page(tab, site, "#/audit")
    log = site.get("/audit")
    panel = tab.get_by_role("region", name="The log as it stands")
    expect(panel).to_contain_text(log["root"])
    expect(panel).to_contain_text(log["public_key"])
    panel.get_by_text("Signed note").click()
    expect(panel.locator("pre")).to_contain_text(log["origin"])
    panel.get_by_role("button", name="Verify the whole log").press("Enter")
    expect(panel.locator(".verdict")).to_contain_text(re.compile(r"The log is whole: [0-9]+ entries verified"))
    expect(panel.get_by_role("button", name="Verify the whole log")).to_be_focused()
    with tab.expect_download() as download:
        panel.get_by_role("link", name="Download the checkpoint").click()
    assert log["origin"] in download.value.path().read_text()

    rows = tab.get_by_role("table", name="Entries, newest first").locator("tbody tr")
    expect(rows).to_have_count(50)
    tab.get_by_role("link", name="Older").click()
    expect(tab).to_have_url(re.compile("before="))
    expect(tab.get_by_role("link", name="Newest")).to_be_visible()
    tab.get_by_label("Types").fill("threat.*")
    tab.get_by_label("Contains").fill("203.0.113.9")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("203.0.113.9")
    expect(tab).to_have_url(re.compile(r"pattern=threat\.\*"))
    rows.get_by_role("link", name="threat.detected").click()
    expect(tab.locator("#inspector")).to_contain_text(threat["id"])
    tab.keyboard.press("Escape")
    tab.get_by_label("Types").fill("policy.*")
    tab.get_by_label("Contains").fill("")
    tab.get_by_label("Agent").fill("agent-1")
    expect(rows.first).to_contain_text("agent-1")
    expect(rows).to_have_count(40)  # 20 evaluations and their denials
    tab.get_by_label("Since").fill("yesterday or so")
    expect(tab.get_by_role("alert").filter(has_text="since")).to_be_visible()


def test_a_log_that_somebody_changed_is_found_out(tab: Page, own_site: Site) -> None:
    for number in range(5):
        own_site.ask(f"agent-{number}", role="nobody")
    logged(own_site)
    open_page(tab, own_site, "#/audit")
    own_site.kill()
    with sqlite3.connect(own_site.folder / "brain-consumers.db") as database:
        changed = database.execute(
            "UPDATE audit_entries SET payload = CAST(replace(payload, 'nobody', 'admins') AS BLOB) WHERE idx = 4"
        )
        assert changed.rowcount == 1
    database.close()
    own_site.start()
    expect(tab.locator(".badge")).to_have_attribute("data-state", "live", timeout=60_000)
    tab.get_by_role("button", name="Verify the whole log").click()
    verdict = tab.locator(".verdict")
    expect(verdict).to_contain_text("The log is not what was written")
    expect(verdict).to_contain_text("First bad entry: 4")
