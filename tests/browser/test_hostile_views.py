"""Texts of attackers in every kind of thing that is shown: no element is made of them, and none reorders the page."""

from __future__ import annotations

import re
from itertools import cycle

import httpx
import pytest
from playwright.sync_api import Page, expect

from browser.page import open_page
from browser.site import Site
from support.planting import bodies, examples, filled

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
MADE = '[data-of-an-attacker], img[src="x"], script:not([src]):not([type])'
HOSTILE = "=1+1\u202eevil\u2066 \x1b[31m<b data-of-an-attacker>bold</b><img src=x data-of-an-attacker>\x85\ufeff"


def fill(site: Site) -> int:
    """Put the text wherever a body takes one; how many were taken."""
    taken = 0
    with httpx.Client(base_url=site.url, timeout=60, trust_env=False) as client:
        rule = {
            "id": "all",
            "name": HOSTILE,
            "effect": "ALLOW",
            "conditions": [],
            "everyone": True,
            "description": HOSTILE,
        }
        assert client.post("/api/policy/rules", json=rule).is_success
        for method, path, example in examples(client.get("/openapi.json").json()):
            if "kill-switch" in path:
                continue
            for body in (example, *bodies(example, cycle([HOSTILE]))):
                taken += client.request(method, filled(path), json=body).is_success
        for agent in (HOSTILE[:100], "a1"):
            context = {"agent_id": agent, "action": HOSTILE, "resource": HOSTILE, "params": {HOSTILE[:90]: HOSTILE}}
            taken += client.post("/api/policy/evaluate", json=context).is_success
    return taken


@pytest.mark.long
def test_no_view_obeys_a_text(tab: Page, site: Site) -> None:
    assert fill(site) > 40
    open_page(tab, site)
    views = tab.evaluate("[...document.querySelectorAll('nav a[href^=\"#/\"]')].map((a) => a.getAttribute('href'))")
    assert len(views) > 10
    seen = 0
    for view in views:
        tab.evaluate("(to) => { location.hash = to }", view)
        expect(tab.locator("main")).to_be_visible()
        tab.wait_for_timeout(1_500)  # until what it asks for is there
        text = tab.evaluate(
            "document.body.innerText + [...document.querySelectorAll('[title]')].map((one) => one.title).join()"
        )
        assert CONTROLS.search(text) is None, (view, text[max(0, CONTROLS.search(text).start() - 60) :][:120])  # type: ignore[union-attr]
        assert tab.locator(MADE).count() == 0, view
        seen += "data-of-an-attacker" in text
    assert seen >= 5, "the text is shown, as text"
