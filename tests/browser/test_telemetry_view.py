"""The view of telemetry: what agents used and what sources sent, live, in both themes and on a narrow screen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import Page, expect

from brain.telemetry.client import SourceClient
from browser.looks import check_looks
from support.server import ServeThread, without_consumers
from support.spans import CHAT, TOKENS, Span, protobuf


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("telemetry")
    telemetry = {"usage_seconds": 1, "prices": {"fake-1": {"input": 2.5, "output": 10}}}
    server = ServeThread(without_consumers(f"sqlite:///{folder}/brain.db", telemetry=telemetry)).start()
    yield server.url
    server.stop()


def call(url: str, agent: str, trace: int) -> None:
    body = protobuf([Span(trace, 2, 0, {**CHAT, **TOKENS, "gen_ai.agent.name": agent})])
    headers = {"content-type": body.media_type}
    answer = httpx.post(f"{url}/api/telemetry/v1/traces", content=body.data, headers=headers, trust_env=False)
    assert answer.is_success


async def send(url: str, source: str) -> None:
    async with SourceClient(url, source) as robot:
        for battery in (80.0, 78.5):
            await robot.send({"battery_percentage": battery})


def test_usage_sources_and_windows(tab: Page, served: str) -> None:
    call(served, "<b>ann</b>", 100)
    with ThreadPoolExecutor(1) as apart:  # Playwright has a loop in this thread
        apart.submit(asyncio.run, send(served, "robot-7")).result()
    tab.goto(f"{served}/#/telemetry")
    usage = tab.get_by_role("region", name="Usage by agent")
    expect(usage.locator("tbody tr", has_text="<b>ann</b>")).to_contain_text("0.0005")
    call(served, "bob", 200)
    expect(usage.locator("tbody tr", has_text="bob")).to_contain_text("120")
    sources = tab.get_by_role("region", name="Sources")
    sources.get_by_role("link", name="robot-7").press("Enter")
    window = sources.locator(".telemetry-windows tbody tr", has_text="battery_percentage")
    expect(window).to_contain_text("79.2500")
    check_looks(tab)
