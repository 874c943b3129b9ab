"""What consumer groups gave up on: shown with its reasons, delivered again, or discarded after a question."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from brain.charter import Event
from browser.page import NEXT_LOOK, NEXT_WORDS, open_page
from browser.site import Site
from support.letters import Letters


def cell(tab: Page, group: str, column: int) -> Locator:
    """A cell of the group's row, the columns counted from 1."""
    return (
        tab.get_by_role("region", name="Consumer groups")
        .get_by_role("row", name=group)
        .locator(f":nth-child({column})")
    )


def test_dead_letters_are_shown_redriven_and_discarded(tab: Page, site: Site) -> None:
    for number in range(4):
        site.ask(f"stuck-{number}", role="nobody")
    site.settle()
    with Letters(site.stream, "reports", "policy.action_denied") as group:
        group.dead_letter(4, "TimeoutError: the report server did not answer", "stuck-")
        tab.clock.install()
        open_page(tab, site, "#/dead-letters?group=reports")
        expect(cell(tab, "reports", 6).first).to_have_text("policy.action_denied")
        expect(cell(tab, "reports", 3).first).to_have_text("4")
        cards = tab.locator(".letters .card")
        expect(cards).to_have_count(4)
        expect(cards.first).to_contain_text("stuck-0")
        expect(cards.first).to_contain_text("TimeoutError: the report server did not answer")
        expect(cards.first).to_contain_text("3 attempts")
        cards.first.get_by_text("Attempts", exact=True).click()
        expect(cards.first.locator("ol li")).to_have_count(3)
        cards.first.get_by_role("link", name="Inspect").click()
        expect(tab.locator("#inspector")).to_contain_text("stuck-0")
        tab.keyboard.press("Escape")

        cards.first.get_by_role("button", name="Redrive").press("Enter")
        expect(cards).to_have_count(3)
        expect(tab.get_by_role("heading", level=1)).to_be_focused()  # its card is gone
        tab.clock.fast_forward(NEXT_WORDS)
        expect(tab.locator("#announcer")).to_have_text("1 dead letter delivered again.")
        events = [Event.decode(entry.data) for entry in group.fetch(100)]
        assert [event.payload["agent_id"] for event in events if event.type == "policy.action_denied"] == ["stuck-0"]

        discard = cards.first.get_by_role("button", name="Discard")
        discard.press("Enter")
        question = tab.get_by_role("dialog", name="Discard this dead letter?")
        expect(question.get_by_role("button", name="Cancel")).to_be_focused()
        tab.keyboard.press("Enter")
        expect(question).to_have_count(0)
        expect(discard).to_be_focused()
        expect(cards).to_have_count(3)
        discard.press("Enter")
        question.get_by_role("button", name="Discard").press("Enter")
        expect(cards).to_have_count(2)

        expect(tab.get_by_role("combobox", name="Group")).to_have_value("reports")
        tab.get_by_role("button", name="Discard all").click()
        tab.get_by_role("dialog", name="Discard all 2 dead letters of reports?").get_by_role(
            "button", name="Discard"
        ).click()
        expect(tab.get_by_text("No dead letters: every event was handled.")).to_be_visible()
        expect(cell(tab, "reports", 3).first).to_have_text("0")
        assert site.get("/dead-letters", group="reports") == []
        tab.get_by_role("combobox", name="Group").select_option("all")
        expect(tab).to_have_url(f"{site.url}/#/dead-letters")


def test_a_letter_that_somebody_else_dealt_with_is_refused_in_words(tab: Page, site: Site) -> None:
    site.ask("gone", role="nobody")
    site.settle()
    with Letters(site.stream, "invoices", "policy.action_denied") as group:
        group.dead_letter(1, "ValueError: no such invoice", "gone")
        tab.clock.install()
        open_page(tab, site, "#/dead-letters?group=invoices")
        card = tab.locator(".letters .card")
        expect(card).to_be_visible()
        tab.route("**/api/dead-letters?*", lambda route: route.abort())
        site.post("/dead-letters/discard", {"group": "invoices", "positions": None})
        card.get_by_role("button", name="Redrive").click()
        expect(tab.locator(".letters > .refusal")).to_contain_text("'invoices' has no dead letter")
        tab.unroute("**/api/dead-letters?*")
        tab.clock.fast_forward(NEXT_LOOK)
        expect(card).to_have_count(0)
