"""The view of detections: what they found, with its threat, and what runs; live, in both themes, on a narrow screen."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from browser.looks import check_looks
from browser.page import open_page
from browser.site import Site

CONSUMERS = ("detections",)
NAME = "<b>agent-7</b>"


def test_what_is_found_comes_with_its_threat(tab: Page, site: Site) -> None:
    open_page(tab, site, "#/detections")
    running = tab.get_by_role("region", name="Detections that run")
    row = running.locator("tbody tr", has_text="agent_touches_policy")
    expect(row).to_contain_text("rulehighattack.defense-evasion, attack.t1562, owasp.asi03")
    expect(running.locator("tbody tr", has_text="sshd_guessed_password")).to_contain_text("sequencecritical")
    expect(running).to_contain_text(f"{len(site.get('detections'))} detections")
    found = tab.get_by_role("region", name="Found")
    expect(found).to_contain_text("Nothing was found yet")
    site.rule("no", "DENY", ("action", "==", "policy.delete_rule"))
    site.ask(NAME, "policy.delete_rule")
    hit = found.locator("tbody tr")  # the view follows
    expect(hit).to_contain_text(f"An agent reaches for the rules themselveshigh{NAME}1")
    expect(hit.get_by_role("link")).to_be_visible()
    check_looks(tab)
    hit.get_by_role("link").click()
    expect(tab.get_by_role("heading", level=1, name="Threats")).to_be_visible()
    expect(tab.locator(".card")).to_have_count(1)
    expect(tab.locator(".card")).to_contain_text(f"agent_touches_policy {NAME}")
