"""The view of hardware: this host as it is, troubles, robots with their stop; live, in both themes, on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from brain.hardware.settings import HardwareSettings
from brain.settings import Settings
from browser.looks import check_looks
from support.ports import free_port
from support.server import ServeThread


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeThread]:
    folder = tmp_path_factory.mktemp("hardware")
    always = {"metric": "memory_percent", "limit": 0.01}
    hardware = HardwareSettings.model_validate({"robots": {"rover": {"driver": "mock"}}, "limits": [always]})
    stream = f"sqlite:///{folder}/brain.db"
    serving = ServeThread(Settings(stream=stream, port=free_port(), consumers=("hardware",), hardware=hardware)).start()
    yield serving
    serving.stop()


def test_the_view_shows_the_host_and_stops_robots(tab: Page, server: ServeThread) -> None:
    tab.goto(f"{server.url}/#/hardware")
    host = tab.get_by_role("region", name="This host")
    expect(host.get_by_role("row", name="Battery")).to_contain_text("not available")
    expect(host.get_by_role("row", name="Memory")).to_contain_text("GiB")
    troubles = tab.get_by_role("region", name="Limits and forecasts")
    expect(troubles.get_by_role("row", name="memory_percent")).to_contain_text("limit 0.01")
    robots = tab.get_by_role("region", name="Robots")
    rover = robots.get_by_role("row", name="rover")
    expect(rover).to_contain_text("free")
    robots.get_by_role("button", name="Stop all robots").click()
    expect(rover).to_contain_text("stopped")
    expect(rover).to_contain_text("a person at the page: stopped on the page")
    rover.get_by_role("button", name="Clear rover").click()
    expect(robots.get_by_role("alert")).to_contain_text("no rule matches")  # nobody may, by the rules that there are
    check_looks(tab)
    rule = {
        "name": "People clear stops",
        "effect": "ALLOW",
        "conditions": [{"field": "action", "operator": "==", "value": "hardware.clear_stop"}],
    }
    made = httpx.post(f"{server.url}/api/policy/rules", json=rule, trust_env=False).json()
    clear = {"robot_id": "rover", "by": "ann", "reason": "over"}
    assert httpx.post(f"{server.url}/api/hardware/clear", json=clear, trust_env=False).json() == {"robots": ["rover"]}
    expect(rover).to_contain_text("free")  # by the event, or the next look
    httpx.delete(f"{server.url}/api/policy/rules/{made['id']}", trust_env=False)
