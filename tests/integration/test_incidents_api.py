"""Incidents over a whole server's HTTP API, and the signed webhooks of Jira and ServiceNow."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.connectors.webhook import sign
from brain.demo.stand_ins import StandIns
from brain.incidents.settings import IncidentSettings
from brain.secret import Secret
from brain.settings import Settings
from support.incident_house import WEBHOOK_SECRET, mirrored
from support.server import running_server
from support.waiting import until

KEY = "the key of this test"


@pytest.fixture
async def stand_ins() -> AsyncIterator[StandIns]:
    found = StandIns()
    async with found.running():
        yield found


@pytest.fixture
async def client(tmp_path: Path, stand_ins: StandIns) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        stream=f"sqlite:///{tmp_path}/brain.db",
        port=0,
        api_key=KEY,  # type: ignore[arg-type]  # pydantic makes a SecretStr of it
        consumers=("incidents",),
        incidents=IncidentSettings(**mirrored(stand_ins.url)),
    )
    async with running_server(settings) as (_, found):
        found.headers["Authorization"] = f"Bearer {KEY}"
        yield found


async def with_tickets(client: httpx.AsyncClient) -> dict[str, Any]:
    """An incident opened by hand, once both tickets are there and their first state was seen."""
    opened = (await client.post("/api/incidents", json={"title": "wrong invoices"})).json()

    async def there() -> bool:
        found = (await client.get(f"/api/incidents/{opened['id']}")).json()
        return all(mirror["state"] for mirror in found["mirrors"])

    await until(there)
    return opened


async def becomes(client: httpx.AsyncClient, id: str, state: str) -> None:
    async def there() -> bool:
        return (await client.get(f"/api/incidents/{id}")).json()["state"] == state

    await until(there)


def jira_signature(body: bytes, secret: str = WEBHOOK_SECRET) -> str:
    """As Jira makes it: developer.atlassian.com/cloud/jira/platform/webhooks, "Secure admin webhooks"."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


async def test_the_api_opens_moves_gives_notes_and_lists(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/incidents", json={"title": "wrong invoices", "severity": "HIGH", "by": "bob"})
    assert answer.status_code == 201
    opened = answer.json()
    where = answer.headers["Location"]
    assert where == f"/api/incidents/{opened['id']}"
    assert opened["allowed_states"] == ["IN_PROGRESS", "ON_HOLD", "RESOLVED"]
    assert [mirror["system"] for mirror in opened["mirrors"]] == ["jira", "servicenow"]
    refused = await client.post(f"{where}/state", json={"state": "CLOSED"})
    assert refused.status_code == 409
    assert "allowed: IN_PROGRESS, ON_HOLD, RESOLVED" in refused.json()["detail"]
    moved = await client.post(f"{where}/state", json={"state": "ON_HOLD", "note": "waiting", "by": "ann"})
    assert moved.json()["state"] == "ON_HOLD"
    assert (await client.post(f"{where}/owner", json={"owner": "ann"})).json()["owner"] == "ann"
    noted = await client.post(f"{where}/notes", json={"text": "the tax table is old", "by": "ann"})
    assert noted.status_code == 201
    # Tickets are made meanwhile, whenever their systems answer.
    by_people = [entry["kind"] for entry in noted.json()["timeline"] if entry["kind"] != "ticket"]
    assert by_people[:2] == ["note", "owner"]
    assert (await client.get("/api/incidents", params={"state": "ON_HOLD"})).json()[0]["id"] == opened["id"]
    assert (await client.get("/api/incidents", params={"state": ["NEW", "CLOSED"]})).json() == []
    assert (await client.get("/api/incidents/inc_0")).status_code == 404
    assert (await client.post(f"{where}/notes", json={"text": "x", "colour": "red"})).status_code == 422


async def test_a_signed_webhook_of_jira_resolves_the_incident(client: httpx.AsyncClient, stand_ins: StandIns) -> None:
    opened = await with_tickets(client)
    (key,) = stand_ins.jira.issues
    stand_ins.jira.set_status(key, "Done")
    body = b'{"webhookEvent": "jira:issue_updated", "issue": {"id": "1", "key": "%s"}}' % key.encode()
    headers = {"Content-Type": "application/json", "X-Hub-Signature": jira_signature(body)}
    del client.headers["Authorization"]
    answer = await client.post("/api/incidents/webhooks/jira", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (202, {"ticket": key, "known": True})
    client.headers["Authorization"] = f"Bearer {KEY}"
    await becomes(client, opened["id"], "RESOLVED")
    await until(lambda: [one["state"] for one in stand_ins.servicenow.incidents.values()] == ["6"])


async def test_a_signed_webhook_of_servicenow_takes_the_incident_up(
    client: httpx.AsyncClient, stand_ins: StandIns
) -> None:
    opened = await with_tickets(client)
    (record,) = stand_ins.servicenow.incidents.values()
    record["state"] = "2"
    body = b'{"number": "%s"}' % record["number"].encode()
    headers = {"Content-Type": "application/json", **sign(Secret(WEBHOOK_SECRET), "change-1", body, time.time())}
    del client.headers["Authorization"]
    answer = await client.post("/api/incidents/webhooks/servicenow", content=body, headers=headers)
    assert answer.status_code == 202
    client.headers["Authorization"] = f"Bearer {KEY}"
    await becomes(client, opened["id"], "IN_PROGRESS")
    await until(lambda: [one["status"] for one in stand_ins.jira.issues.values()] == ["In Progress"])


async def test_a_webhook_that_is_not_signed_is_refused(client: httpx.AsyncClient) -> None:
    body = b'{"issue": {"key": "OPS-1"}}'
    digest = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).digest()
    for signature in (
        "",
        jira_signature(body, "some other secret, as long as it"),
        jira_signature(b"{}"),
        f"sha256={base64.b64encode(digest).decode()}",
    ):
        headers = {"Content-Type": "application/json", "X-Hub-Signature": signature}
        answer = await client.post("/api/incidents/webhooks/jira", content=body, headers=headers)
        assert answer.status_code == 401, signature
        assert answer.json()["title"] == "Bad signature"


async def test_webhooks_about_other_tickets_and_of_other_systems(client: httpx.AsyncClient) -> None:
    async def send(system: str, body: bytes) -> httpx.Response:
        headers = {"Content-Type": "application/json", "X-Hub-Signature": jira_signature(body)}
        return await client.post(f"/api/incidents/webhooks/{system}", content=body, headers=headers)

    assert (await send("jira", b'{"issue": {"key": "HR-1"}}')).json() == {"ticket": "HR-1", "known": False}
    assert (await send("jira", b'{"issue": {}}')).status_code == 422
    assert (await send("trello", b'{"issue": {"key": "HR-1"}}')).status_code == 404
