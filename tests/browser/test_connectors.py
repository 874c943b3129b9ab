"""The view of connectors: live, with what may be done there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from brain.links.settings import ConnectorSettings
from brain.settings import Settings
from browser.looks import check_looks
from support.server import ServeThread
from support.webhook_senders import connector, github


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


def test_the_view_is_live_and_changes_things(tab: Page, url: str) -> None:
    tab.goto(f"{url}/#/connectors")
    row = tab.locator("#main tbody tr").first
    expect(row).to_contain_text("github")
    deliver(url, 1, b"{}")
    expect(row.get_by_role("cell").nth(2)).to_have_text("1")
    expect(row).to_contain_text("OK")
    row.get_by_role("button", name="Pause github").click()
    expect(row).to_contain_text("STOPPED")
    row.get_by_role("button", name="Resume github").click()
    expect(row).to_contain_text("UNKNOWN")
    deliver(url, 2, b"no <b>JSON</b>")
    expect(row).to_contain_text("body: is not valid JSON")
    row.get_by_role("link", name="github").click()
    deliveries = tab.get_by_role("region", name="Deliveries")
    expect(deliveries.locator("tbody tr").first).to_contain_text("failed: body: is not valid JSON")
    check_looks(tab)
    deliver(url, 3, b"{}")
    expect(row).to_contain_text("OK")
