"""What a person sees: both themes, a narrow screen, access, and the picture in the README."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.looks import LOOKS, Look, check_fits, check_looks
from browser.page import Watch, open_page
from browser.site import Site
from support.letters import Letters

IMAGES = Path(__file__).parents[2] / "docs" / "img"
PICTURE_BYTES = 300_000
VIEWS = {
    "overview": ("#/overview", ".event-row"),
    "events": ("#/events", ".event-row"),
    "threats": ("#/threats?closed=1", ".card"),
    "incidents": ("#/incidents", "tbody tr"),
    "alerts": ("#/alerts", ".card"),
    "policy": ("#/policy?action=delete&agent_role=guest", ".rule"),
    "audit": ("#/audit", "tbody tr"),
    "dead-letters": ("#/dead-letters", ".letters .card"),
}
"""Each view with its address, and what is in it once it shows its data."""


@pytest.fixture(scope="module")
def busy_site(site: Site) -> Site:
    """The shared server with something of everything in it."""
    site.rule("guests-delete", "DENY", ("agent_role", "==", "guest"), ("action", "==", "delete"), priority=100,
              name="Guests may not delete", description="Deletions need a member of staff.")  # fmt: skip
    site.rule("refund-audit", "AUDIT", ("action", "==", "refund"), ("params.amount", ">", 500), priority=80)
    site.rule("night", "WARN", ("environment.hour", "<", 6), priority=50, enabled=False)
    site.rule("staff", "ALLOW", ("agent_role", "in", ["staff", "admin"]), priority=10, name="Staff may do the rest")
    for action in ("read", "delete", "read"):
        site.ask("agent-rogue", action, "guest")
    site.settle()
    rogue = site.threat("agent-rogue", "CRITICAL", "asks for what it must not have", type="privilege_probing")
    site.move(rogue["id"], "ESCALATED")
    site.until(lambda: site.get("/incidents"), "an incident")
    incident = f"/incidents/{site.get('/incidents')[0]['id']}"
    site.post(f"{incident}/owner", {"owner": "ann", "by": "bob"})
    site.post(f"{incident}/state", {"state": "IN_PROGRESS", "note": "looking at its credentials", "by": "ann"})
    attacker = site.threat(
        "203.0.113.77", "CRITICAL", "286 failed passwords for root", metadata={"evidence": {"failed_passwords": 286}}
    )
    site.move(attacker["id"], "ESCALATED")
    site.threat("198.51.100.9", "HIGH", "80 failed passwords", metadata={"evidence": {"failed_passwords": 80}})
    done = site.threat("192.0.2.122", "LOW", "a scan of 40 ports")
    site.move(done["id"], "MITIGATED")
    site.move(site.threat("agent-3", "MEDIUM", "denied 14 times in a minute")["id"], "IGNORED")
    site.health("CRITICAL", "AGENT_FAILURE", "billing-agent", "billing-agent has not answered for 30 s")
    site.health("WARNING", "PERFORMANCE_DEGRADATION", "search-agent", "answers take 2.4 s at the median")
    site.health("INFO", "SELF_HEALING_ACTION", "billing-agent", "restarted, it answers again")
    for number in range(40):
        role = ("staff", "admin", "guest")[number % 3]
        action = ("read", "write", "refund", "delete")[number % 4]
        site.ask(f"agent-{number % 7}", action, role, params={"amount": 100 * number})
    site.settle()
    with Letters(site.stream, "reports", "policy.action_denied") as group:
        group.dead_letter(2, "TimeoutError: the report server did not answer")
    tomorrow = time.time() + 86_400
    site.post("/silences", {"matchers": ["agent=search-agent"], "ends_at": tomorrow, "by": "ann", "reason": "is moved"})
    site.until(lambda: len(site.get("/incidents")) >= 3, "three incidents")
    site.until(lambda: site.get("/alerts", state="firing"), "alerts")
    site.until(lambda: site.get("/metrics/summary")["decisions"], "metrics")
    over = ("SUCCEEDED", "FAILED")
    site.until(lambda: {run["state"] for run in site.get("/playbooks/runs")} - {*over} == set(), "the containments")
    site.settle()
    return site


def shown(tab: Page, site: Site, view: str) -> None:
    """Open the view and wait for its data; the connection of a view before goes on."""
    address, data = VIEWS[view]
    tab.goto(f"{site.url}/{address}")
    expect(tab.locator(".badge")).to_have_attribute("data-state", "live")
    expect(tab.locator("#main")).to_have_attribute("data-view", view)
    expect(tab.locator(f"#main {data}").first).to_be_visible()
    if view == "overview":
        expect(tab.locator(".chart canvas")).to_have_count(4)


def opened(tab: Page, view: str) -> None:
    """Go where a person goes next: into an event, an incident, an explanation, a verification, the reasons."""
    if view == "overview":
        tab.locator(".chart summary").first.click()
    if view in ("overview", "events"):
        pause = tab.locator(".feed [aria-pressed]")
        if pause.get_attribute("aria-pressed") == "false":  # it may be paused from the view before
            pause.click()
        # One with a long id in its line, of a plug-in that the page knows nothing of, and one that it knows well.
        kind = "playbook.started" if view == "overview" else "policy.action_denied"
        tab.locator(".event-row", has_text=kind).first.click()
        expect(tab.locator("#inspector .timeline li").first).to_be_visible()
    if view == "incidents":
        tab.locator("tbody a").last.click()
        expect(tab.locator(".incident .entries li").first).to_be_visible()
    if view == "alerts":
        tab.get_by_role("button", name="Silence", exact=True).first.click()
    if view == "policy":
        tab.get_by_role("button", name="Explain").click()
        expect(tab.locator(".trace").first).to_be_visible()
        tab.get_by_role("link", name="Try a change of Staff may do the rest").click()
        tab.get_by_label("instead of all present rules").check()
        tab.get_by_role("button", name="Try", exact=True).click()
        expect(tab.locator(".replay table").first).to_be_visible()
    if view == "audit":
        tab.get_by_role("button", name="Verify the whole log").click()
        expect(tab.locator(".verdict")).to_have_attribute("data-level", "GOOD")
    if view == "dead-letters":
        tab.locator(".card summary").first.click()


def left(tab: Page) -> None:
    """Close what lies over the view."""
    if tab.get_by_role("dialog").count():
        tab.keyboard.press("Escape")
        expect(tab.get_by_role("dialog")).to_have_count(0)


ALONE = (Look("light", 1440, 900), Look("dark", 1440, 900), Look("dark", 390, 844))


def context(look: Look) -> dict[str, Any]:
    """The options of a tab that has the look from its beginning; the narrow ones are touched."""
    return {"color_scheme": look.theme, "viewport": look.size, "has_touch": look.width < 500}


@pytest.mark.parametrize(
    ("tab", "looks"),
    [({}, LOOKS), *(pytest.param(context(one), [one], marks=pytest.mark.long) for one in ALONE)],
    indirect=["tab"],
    ids=["one after the other", "light", "dark", "dark-390px"],
)
def test_every_view_is_without_fault_for_axe_fits_the_screen_and_asks_no_other_host(
    tab: Page, busy_site: Site, watch: Watch, looks: Sequence[Look]
) -> None:
    for view in VIEWS:
        shown(tab, busy_site, view)
        check_fits(tab, view)
        if view == "incidents":  # opened, it is another page
            check_looks(tab, view, looks)
        opened(tab, view)
        check_looks(tab, f"{view}, opened", looks)
        left(tab)
    tab.get_by_role("button", name="Discard", exact=True).first.click()
    expect(tab.get_by_role("dialog")).to_be_visible()
    check_looks(tab, "a question", looks)
    assert watch.hosts == {f"127.0.0.1:{busy_site.port}"}


def ground(tab: Page) -> int:
    """How bright the page's ground is, 0 to 765."""
    colour: str = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


def test_the_theme_follows_the_system_until_a_person_chooses(tab: Page, busy_site: Site) -> None:
    open_page(tab, busy_site)
    page = tab.locator("html")
    expect(page).to_have_attribute("data-theme", "light")
    assert ground(tab) > 600
    tab.emulate_media(color_scheme="dark")
    expect(page).to_have_attribute("data-theme", "dark")
    assert ground(tab) < 150
    tab.get_by_role("button", name="Switch to the light theme").click()
    assert ground(tab) > 600
    tab.reload()
    assert ground(tab) > 600
    tab.get_by_role("button", name="Switch to the dark theme").click()
    assert ground(tab) < 150


def test_every_view_is_reached_from_the_keyboard_and_by_its_address(tab: Page, busy_site: Site) -> None:
    open_page(tab, busy_site)
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name="Skip to content")).to_be_focused()
    views = tab.get_by_role("navigation", name="Views")
    names = ("Events", "Threats", "Incidents", "Alerts", "Policy", "Audit", "Dead letters", "Overview")
    assert len(names) == len(VIEWS)
    for name in names:
        views.get_by_role("link", name=name).press("Enter")
        expect(tab.get_by_role("heading", level=1, name=name)).to_be_focused()
        expect(views.locator("[aria-current]")).to_contain_text(name)
    tab.go_back()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Dead letters")
    tab.goto(f"{busy_site.url}/#/no-such-view")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Overview")


@pytest.mark.parametrize("tab", [{"viewport": {"width": 1360, "height": 900}}], indirect=True, ids=["1360px"])
def test_the_picture_for_the_readme_shows_live_events(
    tab: Page, busy_site: Site, tmp_path: Path, pixels: Callable[[bytes], list[bytes]]
) -> None:
    keep = os.environ.get("BRAIN_SCREENSHOTS") == "1"
    open_page(tab, busy_site)
    for number in range(300 if keep else 12):
        action, role = ("read", "write", "delete", "read")[number % 4], ("staff", "guest", "admin")[number % 3]
        busy_site.ask(f"agent-{number % 12}", action, role)
        tab.wait_for_timeout(120 if keep else 0)  # spreads what the kept picture's chart shows; nothing waits for it
    expect(tab.locator(".event-row", has_text="agent-11").first).to_be_visible()
    expect(tab.locator(".tile-figure").first).not_to_have_text("–")
    expect(tab.locator(".side .card").first).to_be_visible()
    expect(tab.locator(".flow-chart rect").first).to_be_attached()
    expect(tab.locator(".chart canvas")).to_have_count(4)
    folder = IMAGES if keep else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    picture = tab.screenshot(path=folder / "dashboard.png")
    assert len(picture) < PICTURE_BYTES
    lines = pixels(picture)
    assert len(lines) == 900
    # A blank or broken page has a handful of different lines; this one has text on most of them.
    assert len(set(lines)) > 400
    for view in [view for view in VIEWS if view != "overview"] if keep else ["incidents"]:
        shown(tab, busy_site, view)
        if view != "dead-letters":
            opened(tab, view)
        tab.set_viewport_size({"width": 1200, "height": 1400 if view == "policy" else 720})
        tab.evaluate("scrollTo(0, 0)")
        assert len(tab.screenshot(path=folder / f"{view}.png", animations="disabled")) < PICTURE_BYTES


@pytest.fixture
def pixels() -> Callable[[bytes], list[bytes]]:
    """Takes a PNG apart into its scan lines, as they are filtered."""

    def lines(picture: bytes) -> list[bytes]:
        width, height, depth, kind = struct.unpack(">IIBB", picture[16:26])
        data, place = b"", 8
        while place < len(picture):
            (length,) = struct.unpack(">I", picture[place : place + 4])
            if picture[place + 4 : place + 8] == b"IDAT":
                data += picture[place + 8 : place + 8 + length]
            place += length + 12
        step = 1 + width * depth // 8 * {2: 3, 6: 4}[kind]
        raw = zlib.decompress(data)
        assert len(raw) == step * height
        return [raw[start : start + step] for start in range(0, len(raw), step)]

    return lines
