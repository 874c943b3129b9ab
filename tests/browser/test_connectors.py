"""The view of connectors: live, with what may be done there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from brain.links.settings import ConnectorSettings
from brain.settings import Settings
from support.server import ServeThread
from support.webhook_senders import connector, github

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    connectors = ConnectorSettings(inbound={"github": connector("github")})
    stream = f"sqlite:///{tmp_path_factory.mktemp('connectors')}/brain.db"
    server = ServeThread(Settings(stream=stream, port=0, consumers=(), connectors=connectors)).start()
    yield server.url
    server.stop()


def deliver(url: str, number: int, body: bytes) -> None:
    path = f"{url}/api/connectors/github/webhook"
    assert httpx.post(path, content=body, headers=github(body, f"d-{number}"), trust_env=False).status_code == 202


@pytest.mark.parametrize(
    ("tab", "number"),
    [({"color_scheme": "light"}, 1), ({"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}, 2)],
    indirect=["tab"],
    ids=["light", "dark-390px"],
)
def test_the_view_is_live_and_changes_things(tab: Page, url: str, number: int) -> None:
    tab.goto(f"{url}/#/connectors")
    row = tab.locator("#main tbody tr").first
    expect(row).to_contain_text("github")
    deliver(url, number, b"{}")
    expect(row.get_by_role("cell").nth(2)).to_have_text(str(2 * number - 1))
    expect(row).to_contain_text("OK")
    row.get_by_role("button", name="Pause github").click()
    expect(row).to_contain_text("STOPPED")
    row.get_by_role("button", name="Resume github").click()
    expect(row).to_contain_text("UNKNOWN")
    deliver(url, number + 10, b"no <b>JSON</b>")
    expect(row).to_contain_text("body: is not valid JSON")
    row.get_by_role("link", name="github").click()
    deliveries = tab.get_by_role("region", name="Deliveries")
    expect(deliveries.locator("tbody tr").first).to_contain_text("failed: body: is not valid JSON")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(tab, options={"runOnly": RULES})
    assert found.response["violations"] == []
    deliver(url, number + 20, b"{}")
    expect(row).to_contain_text("OK")
