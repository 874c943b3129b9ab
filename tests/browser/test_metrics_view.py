"""The view Metrics: what users define, how it stands, and one metric over the last hour; live, in both themes."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from browser.looks import check_looks
from browser.site import Site

CONSUMERS = ("metrics",)
DEFINITIONS: dict[str, Any] = {
    "definitions": {
        "asked": {"kind": "counter", "events": "policy.rule_evaluated"},
        "refused": {
            "kind": "counter",
            "events": "policy.rule_evaluated",
            "where": [{"field": "effect", "value": "DENY"}],
            "labels": {"agent": "agent_id"},
        },
    },
    "limits": {"refusals": {"metric": "refused", "by": "agent", "above": 100}},
    "slos": {"decisions": {"total": "asked", "bad": "refused", "objective": 0.9}},
}


def rows(tab: Page, name: str) -> Any:
    return tab.get_by_role("table", name=name, exact=True).locator("tbody tr")


def test_the_view_shows_what_is_defined_and_follows_it(tab: Page, site: Site) -> None:
    site.client.put("/metrics/definitions", json={}).raise_for_status()
    tab.goto(f"{site.url}/#/metrics")
    expect(tab.locator("#main")).to_have_attribute("data-view", "metrics")
    expect(tab.get_by_text("Nothing is defined.")).to_be_visible()
    site.client.put("/metrics/definitions", json=DEFINITIONS).raise_for_status()
    expect(rows(tab, "Metrics")).to_have_count(2)
    expect(rows(tab, "Limits")).to_contain_text(["refused by agent"])
    expect(rows(tab, "Objectives")).to_contain_text(["well"])
    site.ask("agent-7")
    site.ask("<b>agent-8</b>")
    tab.get_by_role("link", name="refused", exact=True).click()
    expect(rows(tab, "The last hour")).to_have_count(2)
    expect(rows(tab, "The last hour").filter(has_text="<b>agent-8</b>")).to_contain_text("1")
    expect(rows(tab, "The last hour").get_by_role("img").first).to_be_visible()
    expect(tab.get_by_role("heading", name="refused by agent, sum, the last hour by the minute")).to_be_visible()
    check_looks(tab)
