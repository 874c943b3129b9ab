"""The views of detections and playbooks: what they found, with its threat, and what runs; live, in both themes."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from browser.looks import check_looks
from browser.page import open_page
from browser.site import Site

CONSUMERS = ("detections", "playbooks")
NAME = "<b>agent-7</b>"


def test_what_is_found_comes_with_its_threat(tab: Page, site: Site) -> None:
    open_page(tab, site, "#/detections")
    running = tab.get_by_role("region", name="Detections that run")
    row = running.locator("tbody tr", has_text="agent_touches_policy")
    expect(row).to_contain_text("rulehighattack.defense-evasion, attack.t1562, owasp.asi03")
    expect(running.locator("tbody tr", has_text="sshd_guessed_password")).to_contain_text("sequencecritical")
    expect(running).to_contain_text(f"{len(site.get('detections'))} detections")
    found = tab.get_by_role("region", name="Hits")
    expect(found).to_contain_text("Nothing was found yet")
    site.rule("no", "DENY", ("action", "==", "policy.delete_rule"))
    site.ask(NAME, "policy.delete_rule")
    hit = found.locator("tbody tr")  # the view follows
    expect(hit).to_contain_text(f"An agent reaches for the rules themselveshigh{NAME}1")
    expect(hit.get_by_role("link")).to_be_visible()
    check_looks(tab)
    hit.get_by_role("link").click()
    expect(tab.get_by_role("heading", level=2, name=f"agent_touches_policy from {NAME}")).to_be_visible()


def test_a_run_of_a_playbook_leads_to_its_story(tab: Page, site: Site) -> None:
    story = site.threat("agent-9", "CRITICAL")["correlation_id"]
    site.until(lambda: {"SUCCEEDED"} == {run["state"] for run in site.get("playbooks/runs")}, "contained")
    open_page(tab, site, "#/playbooks")
    run = tab.get_by_role("region", name="Runs").locator("tbody tr", has_text="agent-9")
    expect(run).to_contain_text("SUCCEEDED all steps are done")
    expect(run).to_contain_text("1. contain: DONE agent-9 is contained for 900 s")
    run.get_by_role("link", name=story).click()
    timeline = tab.locator(".timeline")
    expect(timeline).to_contain_text("playbook.startedcontain-critical-threat · agent-9")
    expect(timeline).to_contain_text("contain · agent-9 · DONE · agent-9 is contained for 900 s")
    expect(timeline).to_contain_text("threat.detected")
