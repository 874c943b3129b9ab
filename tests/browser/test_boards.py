"""Health, threats and policy rules: shown as they are, changed by their buttons."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, expect

from browser.looks import check_fits, check_looks
from browser.page import NEXT_LOOK, NEXT_WORDS, open_page
from browser.site import Site

CONSUMERS = ()
NO_REGULAR_REFRESH = "{ const set = setTimeout; window.setTimeout = (f, ms) => (ms === 5000 ? 0 : set(f, ms)); }"
"""The page never asks again by the clock alone: what changes on it was noticed through an event."""


def test_the_overview_counts_by_severity_and_gives_the_score_its_reasons(tab: Page, fresh_site: Site) -> None:
    fresh_site.health("CRITICAL", "AGENT_FAILURE", "billing-agent", "billing-agent has not answered for 30 s")
    fresh_site.health("WARNING", "ERROR_SPIKE", "search-agent", "31 errors in a minute")
    fresh_site.health("INFO", "SELF_HEALING_ACTION", "search-agent", "cache cleared")
    fresh_site.threat("203.0.113.1", "CRITICAL")
    fresh_site.threat("203.0.113.2", "LOW")
    tab.add_init_script(NO_REGULAR_REFRESH)
    open_page(tab, fresh_site)
    summary = fresh_site.get("/immune/health")
    tile = tab.locator(".tile", has=tab.get_by_role("heading", name="Health score"))
    expect(tile).to_contain_text(f"{summary['score']}of 100")
    reasons = tab.locator(".panel", has=tab.get_by_role("heading", name="Why this score"))
    for reason in summary["reasons"]:
        expect(reasons).to_contain_text(reason["text"])
    health = tab.locator(".tile", has=tab.get_by_role("heading", name="Health events"))
    expect(health.locator("li")).to_have_text(["CRITICAL 1", "WARNING 1", "INFO 1"])
    threats = tab.locator(".tile", has=tab.get_by_role("heading", name="Open threats"))
    expect(threats.locator("li")).to_have_text(["CRITICAL 1", "HIGH 0", "MEDIUM 0", "LOW 1"])
    expect(tab).to_have_title("(2) Overview · BRAiN EventStream")

    fresh_site.health("CRITICAL", "AGENT_FAILURE", "import-agent", "gone")  # noticed through its event
    expect(health.locator("li").first).to_have_text("CRITICAL 2")


def test_a_threat_is_moved_by_its_buttons(tab: Page, site: Site) -> None:
    threat = site.threat("203.0.113.50", "CRITICAL", metadata={"evidence": {"failed_passwords": 286}})
    open_page(tab, site, "#/threats")
    card = tab.get_by_role("region", name="OPEN").locator(".card", has_text="203.0.113.50")
    expect(card).to_contain_text("failed passwords 286")
    expect(card.locator(".moves button")).to_have_text(["Investigate", "Escalate", "Mitigate", "Ignore"])
    card.get_by_role("button", name="Escalate").click()
    moved = tab.get_by_role("region", name="ESCALATED").locator(".card", has_text="203.0.113.50")
    expect(moved).to_be_visible()
    expect(card).to_have_count(0)
    assert site.get(f"/threats/{threat['id']}")["status"] == "ESCALATED"
    expect(tab.locator("#announcer")).to_have_text("Threat from 203.0.113.50 is now ESCALATED.")
    expect(moved.locator(":focus")).to_have_count(1)  # the focus went with the card
    site.settle()  # the timeline is to have all of the move
    moved.get_by_role("link", name="Timeline").click()
    told = tab.locator("#inspector .timeline .event-type", has_text=re.compile(r"^threat\."))
    expect(told).to_have_text(["threat.detected", "threat.status_changed", "threat.escalated"])
    tab.keyboard.press("Escape")

    moved.get_by_role("link", name="ssh_brute_force").click()
    threat_page = tab.get_by_role("article")
    expect(threat_page.get_by_role("heading", name="ssh_brute_force from 203.0.113.50")).to_be_focused()
    threat_page.get_by_label("Assignee").fill("ann")
    threat_page.get_by_role("button", name="Assign").click()
    expect(threat_page.locator(".facts")).to_contain_text("assignee ann")
    threat_page.get_by_role("textbox", name="Comment").fill("<b>the provider</b> is informed")
    threat_page.get_by_role("button", name="Add comment").click()
    comments = threat_page.get_by_role("region", name="Comments 1")
    expect(comments.locator("li")).to_contain_text("<b>the provider</b> is informed")
    story = threat_page.get_by_role("region", name=re.compile("What happened")).locator(".event-type")
    expect(story.filter(has_text=re.compile("^threat"))).to_have_text(
        [
            "threat.detected",
            "threat.status_changed",
            "threat.escalated",
            "threat.assigned",
            "threat.commented",
        ]
    )
    check_looks(tab, "a threat")
    site.move(threat["id"], "MITIGATED")  # by someone else
    expect(story.filter(has_text="threat.mitigated")).to_be_visible()
    expect(threat_page.locator(".facts")).to_contain_text("to mitigate")


def test_a_move_that_someone_else_overtook_is_refused_in_words(tab: Page, site: Site) -> None:
    threat = site.threat("203.0.113.51")
    tab.clock.install()
    open_page(tab, site, "#/threats")
    card = tab.locator(".card", has_text="203.0.113.51")
    expect(card).to_be_visible()
    tab.route("**/api/threats?*", lambda route: route.abort())
    site.move(threat["id"], "MITIGATED")
    site.move(threat["id"], "RESOLVED")
    expect(tab.locator(".notice", has_text="Not up to date")).to_be_visible()
    card.get_by_role("button", name="Escalate").click()
    expect(card.get_by_role("alert")).to_contain_text("RESOLVED")
    tab.unroute("**/api/threats?*")
    tab.clock.fast_forward(NEXT_LOOK)
    expect(card).to_have_count(0)
    tab.get_by_label("Show resolved and ignored").check()
    expect(tab.get_by_role("region", name="RESOLVED").locator(".card", has_text="203.0.113.51")).to_be_visible()


def test_a_rule_is_switched_off_and_on_and_decisions_follow(tab: Page, site: Site) -> None:
    site.rule("pay-deny", "DENY", ("action", "==", "pay"), priority=100, name="Nobody pays")
    site.rule("pay-allow", "ALLOW", ("action", "in", ["pay", "refund"]), priority=1)
    assert not site.ask("a", "pay")["allowed"]
    tab.clock.install()
    open_page(tab, site, "#/policy")
    rule = tab.locator(".rule", has_text="Nobody pays")
    expect(rule).to_contain_text('action == "pay"')
    switch = tab.get_by_role("switch", name="Enabled: Nobody pays")
    expect(switch).to_be_checked()
    switch.click()
    expect(switch).not_to_be_checked()
    tab.clock.fast_forward(NEXT_WORDS)
    expect(tab.locator("#announcer")).to_have_text("Rule Nobody pays is disabled.")
    assert site.get("/policy/rules/pay-deny")["enabled"] is False
    assert site.ask("a", "pay")["allowed"]
    switch.press("Space")
    expect(switch).to_be_checked()
    expect(switch).to_be_focused()
    tab.clock.fast_forward(NEXT_WORDS)
    expect(tab.locator("#announcer")).to_have_text("Rule Nobody pays is enabled.")
    assert site.get("/policy/rules/pay-deny")["enabled"] is True

    site.post("/policy/rules/pay-allow/disable")  # by someone else
    expect(tab.get_by_role("switch", name="Enabled: pay-allow")).not_to_be_checked()


def test_a_containment_is_shown_and_cannot_be_changed_as_a_rule(tab: Page, site: Site) -> None:
    site.post("/policy/containments", {"agent_id": "leaky", "reason": "leaked token", "ttl": 600})
    open_page(tab, site, "#/policy")
    row = tab.locator(".rule", has_text="Containment of leaky")
    expect(row).to_contain_text("a measure: brain policy lift ends it")
    expect(row.get_by_role("switch")).to_be_disabled()
    expect(row.get_by_role("link", name="Try a change")).to_have_count(0)
    rules = [one for one in site.get("/policy/rules") if not one["tags"]]
    expect(tab.get_by_text(re.compile(rf"^{len(rules)} rules?, \d+ enabled; 1 measure$"))).to_be_visible()


def test_a_decision_is_explained(tab: Page, site: Site) -> None:
    site.rule("ship-limit", "DENY", ("action", "==", "ship"), ("params.weight", ">", 500), priority=50)
    site.rule("ship-ok", "ALLOW", ("action", "==", "ship"), priority=1)
    open_page(tab, site, "#/policy?action=ship")
    panel = tab.locator(".explain")
    expect(panel.get_by_label("Action")).to_have_value("ship")
    panel.get_by_label("Params").fill('{"weight": 900}')
    site.settle()
    before = evaluations(site)
    panel.get_by_role("button", name="Explain").click()
    expect(panel.locator(".explanation > .card-head")).to_contain_text("DENY")
    expect(panel.locator(".trace.is-won")).to_contain_text("ship-limit")
    panel.get_by_label("Params").fill('{"weight": 20}')
    panel.get_by_role("button", name="Explain").click()
    expect(panel.locator(".trace.is-won")).to_contain_text("ship-ok")
    expect(panel.locator(".trace", has_text="ship-limit").locator(".fails")).to_contain_text(
        "params.weight > 500, is 20"
    )
    panel.get_by_label("Params").fill("{weight")
    panel.get_by_role("button", name="Explain").click()
    expect(panel.get_by_role("alert")).to_contain_text("Params: not valid JSON")
    panel.get_by_label("Params").fill("{}")
    panel.get_by_label("Action").fill("")
    panel.get_by_role("button", name="Explain").click()
    expect(panel.get_by_role("alert")).to_contain_text("action")
    site.settle()
    assert evaluations(site) == before + 1  # the fence itself


def evaluations(site: Site) -> int:
    """How many decisions are on record."""
    return len(site.get("/events", pattern="policy.rule_evaluated", limit=1000)["events"])


def test_a_candidate_rule_is_tried_on_the_decisions_on_record(tab: Page, fresh_site: Site) -> None:
    fresh_site.rule("staff", "ALLOW", ("agent_role", "==", "staff"), name="Staff may do all")
    for number in range(6):
        fresh_site.ask(f"bot-{number % 2}", ("read", "delete", "write")[number % 3])
    fresh_site.ask("stranger", "read", role="nobody")
    fresh_site.settle()
    open_page(tab, fresh_site, "#/policy")
    tab.get_by_role("link", name="Try a change of Staff may do all").click()
    expect(tab).to_have_url(re.compile("try=staff"))
    panel = tab.get_by_role("region", name="Try a rule against history")
    text = panel.get_by_label("A rule or a list of rules, as JSON")
    expect(text).to_be_focused()
    rule = json.loads(text.input_value())
    assert rule["id"] == "staff"
    rule["conditions"].append({"field": "action", "operator": "!=", "value": "delete"})
    text.fill(json.dumps(rule))
    panel.get_by_role("button", name="Try", exact=True).click()
    result = panel.locator(".replay")
    expect(result).to_contain_text("2 decisions would have changed of 8 from")  # settle() asked once
    expect(result.locator(".changes li")).to_have_text(["2 newly denied", "0 newly allowed", "0 another effect"])
    expect(result.get_by_role("table", name="Changes by agent").get_by_role("row", name="bot-0")).to_contain_text("1")
    expect(result.get_by_role("table", name="Changes by action").get_by_role("row", name="delete")).to_contain_text("2")
    example = result.locator(".trace").first
    expect(example).to_contain_text("ALLOW→DENY")
    example.get_by_role("link", name="Event").click()
    expect(tab.locator("#inspector")).to_contain_text("policy.rule_evaluated")
    tab.keyboard.press("Escape")

    text.fill("[{]")
    panel.get_by_role("button", name="Try", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("Not valid JSON")
    text.fill('{"name": "bad", "effect": "MAYBE", "conditions": []}')
    panel.get_by_role("button", name="Try", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("effect")
    text.fill('{"effect": "ALLOW", "everyone": true}')
    panel.get_by_label("Decisions of").select_option("the last hour")
    panel.get_by_role("button", name="Try", exact=True).click()
    expect(result.locator(".changes li")).to_have_text(["0 newly denied", "1 newly allowed", "0 another effect"])
    assert [rule["id"] for rule in fresh_site.get("/policy/rules")] == ["staff"]


def test_the_score_counts_open_threats_and_says_so_when_nothing_is_known(tab: Page, fresh_site: Site) -> None:
    open_page(tab, fresh_site)
    tile = tab.locator(".tile", has=tab.get_by_role("heading", name="Health score"))
    expect(tile).to_contain_text("–no data")
    expect(tile).to_contain_text("Nothing has been recorded yet.")
    threat = fresh_site.threat("203.0.113.9", "CRITICAL")
    expect(tile).to_contain_text("70of 100 · DEGRADED")
    expect(tile).to_contain_text("1 CRITICAL threat is open")
    fresh_site.move(threat["id"], "MITIGATED")
    expect(tile).to_contain_text("100of 100 · HEALTHY")


def test_a_decision_has_a_colour_of_its_own(tab: Page, fresh_site: Site) -> None:
    fresh_site.rule("readers", "ALLOW", ("action", "==", "read"))
    fresh_site.ask("agent-good", "read")
    fresh_site.ask("agent-bad", "delete")
    fresh_site.threat("203.0.113.10", "CRITICAL")
    open_page(tab, fresh_site, "#/events")

    def colour(text: str) -> str:
        row = tab.locator(".event-row", has_text=text).first
        return str(row.locator(".chip").evaluate("chip => getComputedStyle(chip).color"))

    expect(tab.locator(".event-row", has_text="threat.detected")).to_have_count(1)
    rows = tab.locator(".event-row", has_text="policy.rule_evaluated")
    expect(rows.filter(has_text="agent-good")).to_have_attribute("data-level", "ALLOW")
    expect(rows.filter(has_text="agent-bad")).to_have_attribute("data-level", "DENY")
    denied = tab.locator(".event-row", has_text="policy.action_denied")
    expect(denied).to_have_attribute("data-level", "DENY")
    assert len({colour("agent-good"), colour("policy.action_denied"), colour("threat.detected")}) == 3


def test_counts_by_priority_say_so(tab: Page, site: Site) -> None:
    open_page(tab, site)
    tile = tab.locator(".tile", has=tab.get_by_role("heading", name="Live events"))
    expect(tile).to_contain_text("a second, by priority")


def test_long_lists_have_pages(tab: Page, fresh_site: Site) -> None:
    """A board has the 100 closed threats detected last; the one before them is on the next page, and counted."""
    for number in range(101):
        fresh_site.move(fresh_site.threat(f"198.51.100.{number}", "LOW")["id"], "IGNORED")
    fresh_site.threat("203.0.113.99", "CRITICAL")
    open_page(tab, fresh_site, "#/threats?closed=1")
    ignored = tab.get_by_role("region", name="IGNORED")
    pages = tab.get_by_role("navigation", name="Pages of threats")
    expect(ignored.get_by_role("heading", level=2)).to_have_text("IGNORED 100")
    tab.get_by_label("Contains").fill("198.51.100.0")
    expect(tab.get_by_text("No threats on this page fit this filter.")).to_be_visible()
    pages.get_by_role("link", name="Older").click()
    expect(ignored.get_by_role("listitem")).to_have_count(1)
    expect(ignored).to_contain_text("198.51.100.0")
    expect(pages.get_by_role("link")).to_have_text(["Newest"])
    pages.get_by_role("link", name="Newest").click()
    tab.get_by_label("Contains").fill("")
    expect(tab.get_by_role("region", name="OPEN")).to_contain_text("203.0.113.99")
    tab.get_by_label("Show resolved and ignored").uncheck()
    expect(pages.get_by_role("link")).to_have_count(0)


def test_the_name_of_the_group_that_is_furthest_behind_stays_in_its_tile(tab: Page, site: Site) -> None:
    open_page(tab, site)
    tile = tab.locator(".tile", has=tab.get_by_role("heading", name="Consumer groups"))
    for width in (1440, 390):
        tab.set_viewport_size({"width": width, "height": 844})
        tile.locator(".tile-unit").evaluate("(unit) => unit.textContent = 'events behind: brain.immune.measures'")
        check_fits(tab, f"the overview, {width} px")
