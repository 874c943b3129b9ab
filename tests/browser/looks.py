"""What everybody needs of a view: axe finds no fault and nothing sticks out, in both themes, wide and narrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, ViewportSize, expect

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_OPTIONS = json.dumps({"resultTypes": ["violations"], "runOnly": {"type": "tag", "values": RULES}})
# Only what is wrong comes back: all that axe looked at is thousands of lines.
_RUN = f"""axe.run({_OPTIONS}).then((found) => found.violations.map((fault) =>
    `${{fault.id}}: ${{fault.help}}: ${{fault.nodes.map((node) => node.html).join(", ")}}`))"""
_WIDTHS = """[document.documentElement.scrollWidth, document.querySelector("#inspector")?.scrollWidth ?? 0, innerWidth,
    [...document.querySelectorAll(".tile")].filter((tile) => tile.scrollWidth > tile.clientWidth)
        .map((tile) => tile.textContent)]"""

_TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Charts and the inspector answer to a new size of the screen by themselves, one frame later."""


class Look(NamedTuple):
    """A theme and a size of the screen."""

    theme: Literal["light", "dark"]
    width: int
    height: int

    @property
    def size(self) -> ViewportSize:
        """The screen, as Playwright takes it."""
        return {"width": self.width, "height": self.height}


LOOKS = (Look("light", 1440, 900), Look("dark", 390, 844))
"""The first is how the fixture `tab` opens a page."""


def check_looks(tab: Page, where: str = "the view", looks: Sequence[Look] = LOOKS) -> None:
    """The page as it stands, in each of the looks; it is left in the first."""
    assert [fault for look in looks for fault in _faults_in(tab, where, look)] == []
    if len(looks) > 1:
        _put_on(tab, looks[0])


def check_fits(tab: Page, where: str) -> None:
    """Nothing has to be moved sideways to be seen."""
    tab.evaluate(_TWO_FRAMES)
    page, inspector, screen, sticking_out = tab.evaluate(_WIDTHS)
    assert max(page, inspector) <= screen, (where, page, inspector)
    assert sticking_out == [], where


def _faults_in(tab: Page, where: str, look: Look) -> list[str]:
    _put_on(tab, look)
    place = f"{where}, {look.theme}, {look.width} px"
    check_fits(tab, place)
    return _faults(tab, place)


def _put_on(tab: Page, look: Look) -> None:
    tab.emulate_media(color_scheme=look.theme)
    tab.set_viewport_size(look.size)
    expect(tab.locator("html")).to_have_attribute("data-theme", look.theme)


def _faults(tab: Page, where: str) -> list[str]:
    """What axe says of the page. The script of axe stays as long as the page does."""
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(AXE_SCRIPT)
    found: list[Any] = tab.evaluate(_RUN)
    return [f"{where}: {fault}" for fault in found]
