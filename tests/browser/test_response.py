"""Incidents, alerts and silences: what people work on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from browser.page import open_page
from browser.site import Site
from support.server import brain


@pytest.fixture(scope="module")
def attacked(site: Site) -> Site:
    """A server with an agent that was refused things, its escalated threat, and an agent that failed."""
    for action in ("read", "delete"):
        site.ask("agent-rogue", action, role="nobody")
    site.settle()
    site.move(site.threat("agent-rogue", "CRITICAL", "asks for what it must not have")["id"], "ESCALATED")
    site.health("CRITICAL", "AGENT_FAILURE", "billing-agent", "billing-agent has not answered for 30 s")
    contained = {"playbook": "contain-threat", "subject": "agent-rogue", "state": "SUCCEEDED"}
    site.until(lambda: any(contained.items() <= run.items() for run in site.get("/playbooks/runs")), "the containment")
    site.settle()
    return site


def test_an_incident_is_worked_on_and_tells_its_story(tab: Page, attacked: Site) -> None:
    open_page(tab, attacked, "#/incidents")
    link = tab.get_by_role("row", name=re.compile("agent-rogue")).get_by_role("link")
    link.press("Enter")
    article = tab.locator(".incident")
    heading = article.get_by_role("heading", level=2)
    expect(heading).to_contain_text("agent-rogue")
    expect(heading).to_be_focused()
    expect(article.get_by_role("region", name="Threats")).to_contain_text("ESCALATED")
    moves = article.get_by_role("group", name="Move the incident")
    expect(moves.get_by_role("button")).to_have_text(["Work on it", "Put on hold", "Resolve"])
    moves.get_by_role("button", name="Work on it").click()
    expect(article.get_by_role("alert")).to_contain_text("Give your name first")
    tab.get_by_label("Your name").fill("ann")
    article.get_by_label("Reason").fill("looking at its credentials")
    moves.get_by_role("button", name="Work on it").press("Enter")
    expect(article.locator(".incident-head")).to_contain_text("IN PROGRESS")
    timeline = article.get_by_role("region", name="Timeline")
    expect(timeline).to_contain_text("looking at its credentials by ann")
    article.get_by_label("Owner").fill("bob")
    article.get_by_role("button", name="Assign").click()
    expect(article.locator(".facts")).to_contain_text("owner bob")
    note = article.get_by_role("textbox", name="Note")
    note.fill("its key was <b>stolen</b>")
    article.get_by_role("button", name="Add note").click()
    expect(timeline).to_contain_text("its key was <b>stolen</b>")
    expect(note).to_have_value("")
    [incident] = [found for found in attacked.get("/incidents") if "agent-rogue" in found["title"]]
    assert (incident["state"], incident["owner"]) == ("IN_PROGRESS", "bob")

    attacked.post(f"/incidents/{incident['id']}/state", {"state": "ON_HOLD", "by": "eve"})  # by someone else
    expect(article.locator(".incident-head")).to_contain_text("ON HOLD")
    expect(note).to_be_visible()
    article.get_by_role("link", name="← All incidents").click()
    expect(tab.get_by_role("row", name=re.compile("agent-rogue"))).to_contain_text("bob")
    tab.go_back()
    expect(heading).to_contain_text("agent-rogue")


def test_an_incident_is_never_shown_under_anothers_address(tab: Page, attacked: Site) -> None:
    ids = []
    for number in (1, 2):
        ids.append(attacked.post("/incidents", {"title": f"made by hand {number}", "severity": "LOW"})["id"])
    open_page(tab, attacked, f"#/incidents?id={ids[0]}")
    article = tab.locator(".incident")
    heading = article.get_by_role("heading", level=2)
    expect(heading).to_contain_text("made by hand 1")
    held: list[Route] = []
    tab.route(f"**/api/incidents/{ids[1]}", lambda route: held.append(route))
    tab.evaluate("id => { location.hash = `#/incidents?id=${id}`; }", ids[1])
    expect(heading).to_have_text("Incident")
    expect(article.get_by_role("region", name="Timeline")).to_be_hidden()
    for control in (
        article.get_by_role("button", name="Assign"),
        article.get_by_label("Owner"),
        article.locator(".facts"),
    ):
        expect(control).to_be_hidden()
    attacked.until(lambda: tab.wait_for_timeout(1) or held, "asked for")
    held[0].continue_()
    tab.unroute(f"**/api/incidents/{ids[1]}")
    expect(heading).to_contain_text("made by hand 2")
    expect(article.get_by_role("button", name="Assign")).to_be_visible()


def test_an_unknown_incident_has_no_forms(tab: Page, attacked: Site) -> None:
    open_page(tab, attacked, "#/incidents?id=inc_0000000000000000")
    article = tab.locator(".incident")
    expect(article.get_by_role("heading", level=2)).to_have_text("There is no incident with this id.")
    expect(article.get_by_role("button")).to_have_count(0)
    expect(article.get_by_role("textbox")).to_have_count(0)


def test_the_decisions_behind_an_incident_come_with_their_audit_proofs(
    tab: Page, attacked: Site, tmp_path: Path
) -> None:
    open_page(tab, attacked, "#/incidents?q=agent-rogue")
    tab.get_by_role("row", name=re.compile("agent-rogue")).get_by_role("link").click()
    decisions = tab.locator(".incident").get_by_role("region", name="Decisions behind it")
    expect(decisions.locator("li")).to_have_count(2)
    newest = decisions.locator("li").first
    expect(newest).to_contain_text("DENY")
    expect(newest).to_contain_text("delete")
    with tab.expect_download() as download:
        newest.get_by_role("button", name=re.compile("^Proof of ")).click()
    proof = tmp_path / download.value.suggested_filename
    download.value.save_as(proof)
    newest.get_by_role("link", name="Event").click()
    expect(tab.locator("#inspector code").first).to_have_text(json.loads(proof.read_text())["event_id"])
    key = attacked.get("/audit")["public_key"]
    checked = brain("audit", "verify-proof", str(proof), "--key", key, folder=tmp_path)
    assert checked.returncode == 0, checked.stderr
    with tab.expect_download() as again:
        tab.locator("#inspector").get_by_role("button", name=re.compile("^Audit proof of ")).click()
    assert again.value.suggested_filename == proof.name


def test_an_alert_is_acknowledged_and_silenced(tab: Page, attacked: Site) -> None:
    open_page(tab, attacked, "#/alerts")
    card = tab.locator(".card", has_text="billing-agent has not answered")
    expect(card).to_contain_text("firing")
    tab.get_by_label("Your name").fill("ann")
    card.get_by_role("button", name="Acknowledge").press("Enter")
    expect(card).to_contain_text("Acknowledged by ann")
    expect(card.get_by_role("button", name="Acknowledge")).to_have_count(0)
    expect(card.locator(":focus")).to_have_count(1)  # the focus stayed on the card

    silences = tab.get_by_role("region", name=re.compile("^Silences"))
    expect(silences).to_contain_text("No silences")
    card.get_by_role("button", name="Silence").click()
    expect(silences.get_by_label("Reason")).to_be_focused()
    expect(silences.get_by_label(re.compile("^Matchers"))).to_have_value(re.compile("agent=billing-agent"))
    silences.get_by_label("Reason").fill("it is being moved")
    silences.get_by_label("For").select_option("4 hours")
    silences.get_by_role("button", name="Add silence").click()
    expect(silences.locator("li")).to_contain_text("it is being moved by ann")
    [silence] = attacked.get("/silences")
    assert 3.5 * 3600 < silence["ends_at"] - silence["starts_at"] < 4.5 * 3600
    expect(card).to_contain_text(f"silenced by {silence['id']}")

    silences.get_by_label(re.compile("^Matchers")).fill("no matcher at all")
    silences.get_by_label("Reason").fill("x")
    silences.get_by_role("button", name="Add silence").click()
    expect(silences.get_by_role("alert")).to_contain_text("no matcher at all")

    silences.get_by_role("button", name=re.compile("^Remove the silence")).click()
    tab.get_by_role("dialog", name="Remove this silence?").get_by_role("button", name="Remove").click()
    expect(silences).to_contain_text("No silences")
    expect(card).not_to_contain_text("silenced by")
    card.get_by_role("button", name="Close").click()
    expect(card).to_have_count(0)
    tab.get_by_label("State").select_option("resolved")
    expect(tab).to_have_url(re.compile("state=resolved"))
    expect(card).to_contain_text("resolved")


def test_older_incidents_are_on_the_next_page(tab: Page, attacked: Site) -> None:
    for number in range(101):
        attacked.post("/incidents", {"title": f"paged {number}", "severity": "LOW"})
    open_page(tab, attacked, "#/incidents")
    rows = tab.get_by_role("table", name="Incidents").locator("tbody tr")
    expect(rows).to_have_count(100)
    expect(tab.locator(".view-note").first).to_contain_text("100 open incidents on this page")
    tab.get_by_role("navigation", name="Pages of incidents").get_by_role("link", name="Older").click()
    expect(rows.filter(has_text="paged 0")).to_have_count(1)
    tab.get_by_label("Contains").fill("nothing holds this")
    expect(tab.get_by_text("No incidents on this page fit this filter.")).to_be_visible()
