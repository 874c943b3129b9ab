"""The recorded payloads of GitHub, signed and posted to a whole server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.links.settings import ConnectorSettings
from brain.settings import Settings
from support.server import running_server
from support.waiting import until
from support.webhook_senders import connector, github, recorded

KEY = "the key of this test"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}
CUT = 30
"""One of so many is posted by default; all of them by the long test."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        stream=f"sqlite:///{tmp_path}/brain.db",
        port=0,
        api_key=KEY,  # type: ignore[arg-type]  # pydantic makes a SecretStr of it
        consumers=(),
        connectors=ConnectorSettings(inbound={"github": connector("github")}, refused_seconds=1),
    )
    async with running_server(settings) as (_, found):
        yield found


async def each_once_and_forgeries_refused(client: httpx.AsyncClient, deliveries: list[tuple[str, bytes]]) -> None:
    path = "/api/connectors/github/webhook"  # without the API key: deliveries are signed
    for times in range(2):
        for number, (event, body) in enumerate(deliveries):
            answer = await client.post(path, content=body, headers=github(body, f"delivery-{number}", event))
            assert answer.status_code == 202, answer.text
            assert answer.json()["events"] == (times == 0)
    for number, (event, body) in enumerate(deliveries):
        headers = github(body, f"other-{number}", event)
        place = number % len(body)
        forged = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        assert (await client.post(path, content=forged, headers=headers)).status_code == 401


async def events_of(client: httpx.AsyncClient, type: str) -> list[dict[str, Any]]:
    answer = await client.get("/api/events", params={"pattern": type, "limit": 1000}, headers=WITH_KEY)
    return [stored["event"] for stored in answer.json()["events"]]


async def check(client: httpx.AsyncClient, deliveries: list[tuple[str, bytes]]) -> None:
    await each_once_and_forgeries_refused(client, deliveries)

    async def all_told() -> bool:
        told = await events_of(client, "connector.signature_refused")
        return sum(event["payload"]["count"] for event in told) == len(deliveries)

    await until(all_told)
    found = (await client.get("/api/connectors/github", headers=WITH_KEY)).json()
    counters = [found[name] for name in ("received", "duplicates", "refused", "failed")]
    assert counters == [len(deliveries), len(deliveries), len(deliveries), 0]

    async def on_the_stream() -> bool:
        return len(await events_of(client, "connector.received")) == len(deliveries)

    await until(on_the_stream)
    keys = {event["payload"]["dedup_key"] for event in await events_of(client, "connector.received")}
    assert len(keys) == len(deliveries)

    async def one_threat() -> bool:
        threats = (await client.get("/api/threats", headers=WITH_KEY)).json()
        return [(threat["type"], threat["source"]) for threat in threats] == [("webhook_forgery", "127.0.0.1")]

    await until(one_threat)


async def test_recorded_payloads_become_an_event_once_and_forgeries_one_threat(client: httpx.AsyncClient) -> None:
    await check(client, recorded()[::CUT])


@pytest.mark.long
async def test_all_recorded_payloads(client: httpx.AsyncClient) -> None:
    deliveries = recorded()
    assert len(deliveries) == 726
    await check(client, deliveries)
