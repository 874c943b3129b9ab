"""The view of missions: live, in both themes, narrow, and usable by everybody."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from browser.looks import check_looks
from browser.site import Site

CONSUMERS = ("missions",)
TASKS: list[dict[str, Any]] = [
    {"id": "reserve", "type": "reserve"},
    {"id": "allowed", "type": "question", "depends_on": ["reserve"], "person": "Ship it <b>abroad</b>?"},
    {"id": "ship", "type": "ship", "depends_on": ["allowed"]},
]


def do_one(site: Site) -> None:
    """An agent leases a task and completes it."""
    (task,) = site.client.post("/tasks/lease", json={"agent_id": "till-1"}).raise_for_status().json()
    site.client.post(f"/tasks/{task['id']}/complete", json={"token": task["token"]}).raise_for_status()


def test_a_mission_is_followed_and_its_question_answered(tab: Page, site: Site) -> None:
    anything = [{"field": "action", "operator": "!=", "value": ""}]
    rule = {"id": "all", "name": "all", "effect": "ALLOW", "conditions": anything}
    site.post("/policy/rules", rule)
    mission = site.client.post("/missions", json={"name": "order 7", "tasks": TASKS}).raise_for_status().json()
    tab.goto(f"{site.url}/#/missions")
    expect(tab.locator("#main")).to_have_attribute("data-view", "missions")
    row = tab.locator("#main tbody tr", has_text="order 7")
    expect(row).to_contain_text("0 of 3")
    row.get_by_role("link", name="order 7").click()
    chosen = tab.get_by_role("region", name="The mission")
    expect(chosen.locator("svg rect")).to_have_count(3)
    do_one(site)  # the view follows
    expect(chosen).to_contain_text("Ship it <b>abroad</b>?")
    check_looks(tab)
    chosen.get_by_role("button", name="Yes").click()
    expect(chosen.locator("tbody tr", has_text="allowed")).to_contain_text("completed")
    do_one(site)
    expect(chosen.locator(".facts")).to_contain_text("completed")
    expect(tab.get_by_role("region", name="Agents")).to_contain_text("till-1")
    assert site.client.get(f"/missions/{mission['id']}").json()["status"] == "completed"
