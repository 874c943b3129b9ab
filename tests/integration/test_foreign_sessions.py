"""A hundred sessions of others: each refused, with one event that names who tried."""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from brain.access.agent_sessions import issue
from brain.access.agents import Agents
from brain.access.http_signatures import key_id
from brain.store import Store, open_store
from support.server import running_server, without_consumers
from support.sizes import sizes
from support.waiting import until

ADMIN = "an-administrators-key-of-the-settings"


class Served(NamedTuple):
    client: httpx.AsyncClient
    store: Store

    async def refused(self, requests: list[Mapping[str, str]], before: int) -> list[dict[str, Any]]:
        """Send each of these headers; the events of the refusals, once there is one for each."""
        for headers in requests:
            answer = await self.client.get("/api/policy/rules", headers=dict(headers))
            assert answer.status_code == 401, answer.text
        found: list[dict[str, Any]] = []

        async def are_there() -> bool:
            found[:] = (await self.events())[before:]
            return len(found) >= len(requests)

        await until(are_there)
        assert len(found) == len(requests)
        return found

    async def events(self) -> list[dict[str, Any]]:
        """All refusals, the oldest first."""
        path = "/api/events?pattern=access.request_refused&limit=1000&newest_first=false"
        return [one["event"] for one in (await self.client.get(path, headers=bearer(ADMIN))).json()["events"]]


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    settings = without_consumers(f"sqlite:///{tmp_path / 'brain.db'}", api_key=SecretStr(ADMIN))
    async with running_server(settings) as (_, client):
        yield Served(client, open_store(settings.stream))


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def names(events: list[dict[str, Any]]) -> Counter[str]:
    return Counter(event["meta"]["principal"]["name"] for event in events)


@pytest.mark.parametrize("count", sizes(8, 100))
async def test_sessions_of_others(served: Served, count: int) -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    body = {"agent_id": "a1", "public_key": b64encode(key).decode()}
    admin = bearer(ADMIN)
    assert (await served.client.post("/api/access/agents", json=body, headers=admin)).status_code == 201
    secret = open_secret(served)
    good = bearer(issue(secret, key_id(key), "127.0.0.1", time.time())[0])

    async def is_known() -> bool:  # a server knows a new agent within a second
        return (await served.client.get("/api/access/me", headers=good)).is_success

    await until(is_known)
    before = len(await served.events())
    requests: list[Mapping[str, str]] = []
    for number in range(count):
        other, _ = issue(secret, key_id(key), f"198.51.100.{number % 250}", time.time())  # of another address
        forged, _ = issue(secrets.token_bytes(32), key_id(key), "127.0.0.1", time.time())  # of another server
        over, _ = issue(secret, key_id(key), "127.0.0.1", time.time() - 3600)
        cookie = {"Cookie": f"brain_session={int(time.time()) + 999}.{secrets.token_hex(8)}.{secrets.token_hex(32)}"}
        requests.append((bearer(other), bearer(forged), bearer(over), cookie)[number % 4])
    found = names(await served.refused(requests, before))
    assert found == Counter({"anonymous": count - count // 4, "a1": count // 4})


def open_secret(served: Served) -> bytes:
    return Agents(served.store, None).session_secret()
