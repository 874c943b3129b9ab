"""Connectors over a whole server's HTTP API: what comes in, what goes out, pausing, replaying, refusing."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.demo.stand_ins import StandIns
from brain.links.settings import ConnectorSettings
from brain.settings import Settings
from support.alertmanager_server import AlertmanagerServer
from support.ports import free_port
from support.server import running_server
from support.vendors import webhook_settings
from support.waiting import until
from support.webhook_senders import (
    JSON,
    SECRET,
    STANDARD,
    bearer,
    connector,
    github,
    pagerduty,
    sentry,
    standard,
    stripe,
)

KEY = "the key of this test"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}
INBOUND: dict[str, Any] = {
    "alerts": connector("alertmanager"),
    "bus": connector("cloudevents"),
    "ci": connector("github", mapping={"type": "ci.done", "fields": {"by": "$.by"}, "key": "$.id"}),
    "errors": connector("sentry"),
    "pager": connector("pagerduty"),
    "pay": connector("stripe"),
    "shop": connector("standard", STANDARD, body_limit=2048),
    "tap": {"kind": "singer"},
}


@pytest.fixture
async def stand_ins() -> AsyncIterator[StandIns]:
    found = StandIns()
    async with found.running():
        yield found


def settings_of(tmp_path: Path, **connectors: Any) -> Settings:
    return Settings(
        stream=f"sqlite:///{tmp_path}/brain.db",
        port=0,
        api_key=KEY,  # type: ignore[arg-type]  # pydantic makes a SecretStr of it
        consumers=(),
        connectors=ConnectorSettings(**connectors),
    )


@pytest.fixture
async def client(tmp_path: Path, stand_ins: StandIns) -> AsyncIterator[httpx.AsyncClient]:
    settings = settings_of(tmp_path, inbound=INBOUND, outbound={"room": webhook_settings(stand_ins.url)})
    async with running_server(settings) as (_, found):
        yield found


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(f"/api/{path}", params=query, headers=WITH_KEY)
    assert answer.is_success, answer.text
    return answer.json()


async def post(client: httpx.AsyncClient, path: str, content: Any) -> httpx.Response:
    return await client.post(f"/api/{path}", json=content, headers=WITH_KEY)


async def deliver(client: httpx.AsyncClient, name: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    return await client.post(f"/api/connectors/{name}/webhook", content=body, headers=headers)


async def events(client: httpx.AsyncClient, pattern: str, count: int) -> list[dict[str, Any]]:
    """The events of the pattern, the oldest first, once there are so many."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        page = await get(client, "events", pattern=pattern, limit=1000, newest_first=False)
        found[:] = [stored["event"] for stored in page["events"]]
        return len(found) >= count

    await until(there)
    assert len(found) == count
    return found


def may_send(connector: str) -> dict[str, Any]:
    wanted = {"action": "connector.send", "resource": connector}
    conditions = [{"field": field, "operator": "==", "value": value} for field, value in wanted.items()]
    return {"id": "may-send", "name": "agents may send", "effect": "ALLOW", "conditions": conditions}


async def test_every_kind_comes_in_once(client: httpx.AsyncClient) -> None:
    now = time.time()
    event = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "com.example.paid", "data": {"id": 7}}
    batch = {**bearer(), "content-type": "application/cloudevents-batch+json"}
    alert = {
        "status": "firing",
        "labels": {"alertname": "Down"},
        "fingerprint": "f1",
        "startsAt": "2026-01-01T00:00:00Z",
    }
    bodies: dict[str, Any] = {
        "alerts": {"version": "4", "groupKey": "g", "alerts": [alert, {**alert, "fingerprint": "f2"}]},
        "bus": [event, {**event, "id": "2"}, event],
        "errors": {"action": "created", "data": {"issue": {"shortId": "SHOP-1"}}},
        "pager": {"event": {"id": "e1", "event_type": "incident.triggered", "data": {"title": "down"}}},
        "pay": {"id": "evt_1", "type": "charge.failed"},
        "shop": {"type": "invoice.paid", "data": {"id": 1}},
    }
    raw = {name: json.dumps(body).encode() for name, body in bodies.items()}
    headers = {
        "alerts": bearer(),
        "bus": batch,
        "errors": sentry(raw["errors"], "r-1"),
        "pager": pagerduty(raw["pager"]),
        "pay": stripe(raw["pay"], now),
        "shop": standard(raw["shop"], "msg_1", now),
    }
    for new in (True, False):
        for name, body in raw.items():
            answer = await deliver(client, name, headers[name], body)
            assert answer.status_code == 202, (name, answer.text)
            assert answer.json()["events"] == (2 if name in ("alerts", "bus") else 1) * new, name
    found = await events(client, "connector.received", 8)
    names = sorted((event["payload"]["connector_id"], event["payload"]["name"]) for event in found)
    assert names == [
        ("alerts", "alert.firing"),
        ("alerts", "alert.firing"),
        ("bus", "com.example.paid"),
        ("bus", "com.example.paid"),
        ("errors", "issue.created"),
        ("pager", "incident.triggered"),
        ("pay", "charge.failed"),
        ("shop", "invoice.paid"),
    ]
    listed = {one["name"]: one for one in await get(client, "connectors")}
    assert listed.keys() == {*INBOUND, "room"}
    assert {name: listed[name]["status"] for name in raw} == dict.fromkeys(raw, "OK")
    assert (listed["tap"]["webhook"], listed["bus"]["webhook"]) == (None, "/api/connectors/bus/webhook")
    reference = found[0]["payload"]["payload_ref"]
    kept = await get(client, reference["uri"].removeprefix("/api/"))
    assert kept["sha256"] == reference["sha256"]
    assert "authorization" not in kept["headers"]
    assert SECRET not in json.dumps(kept)


async def test_what_is_refused(client: httpx.AsyncClient) -> None:
    body = b'{"type": "x"}'
    refused = {
        "no signature": await deliver(client, "shop", JSON, body),
        "the API key is none": await deliver(client, "alerts", {**JSON, **WITH_KEY}, body),
        "old": await deliver(client, "shop", standard(body, "m", time.time() - 301), body),
        "no JSON, unsigned": await deliver(client, "shop", {"content-type": "text/plain"}, b"\xff"),
    }
    assert {why: answer.status_code for why, answer in refused.items()} == dict.fromkeys(refused, 401)
    assert refused["old"].json()["title"] == "Bad signature"
    large = b'"' + b"x" * 2048 + b'"'
    assert (await deliver(client, "shop", standard(large, "m", time.time()), large)).status_code == 413
    for name in ("nobody", "tap", "room"):
        assert (await deliver(client, name, JSON, body)).status_code == 404
    for path in ("connectors", "connectors/shop", "connectors/shop/deliveries", "connectors/shop/webhooks"):
        assert (await client.get(f"/api/{path}")).status_code == 401, path
    for path in ("pause", "resume", "replay", "test", "send", "webhook/", "webhook/x"):
        assert (await client.post(f"/api/connectors/shop/{path}", json={})).status_code in (401, 307), path


async def test_paused_failed_and_replayed(client: httpx.AsyncClient) -> None:
    async def send(number: int, content: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(content).encode()
        answer = await deliver(client, "ci", github(body, f"d-{number}"), body)
        assert answer.status_code == 202
        found: dict[str, Any] = answer.json()
        return found

    assert (await post(client, "connectors/ci/pause", {"by": "ann", "reason": "new mapping"})).json()[
        "status"
    ] == "STOPPED"
    assert (await send(1, {"id": 1, "by": "bob"}))["state"] == "waiting"
    assert (await post(client, "connectors/ci/replay", {})).status_code == 409
    assert (await post(client, "connectors/ci/resume", {"by": "ann"})).json()["status"] == "OK"
    (done,) = await events(client, "ci.done", 1)
    assert done["payload"] == {"by": "bob"}
    assert done["meta"]["connector"]["id"] == "ci"
    body = b"[1, 2"
    failed = (await deliver(client, "ci", github(body, "d-2"), body)).json()
    assert (failed["state"], failed["events"]) == ("failed", 0)
    found = await get(client, "connectors/ci")
    assert (found["status"], found["failed"]) == ("ERROR", 1)
    assert "body: is not valid JSON" in found["error"]
    (error,) = await events(client, "connector.error", 1)
    assert error["payload"]["context"] == {"delivery": failed["id"]}
    (receipt,) = (await post(client, "connectors/ci/replay", {})).json()
    assert receipt["state"] == "failed"
    (receipt,) = (await post(client, "connectors/ci/replay", {"delivery": 1, "again": True})).json()
    assert (receipt["state"], receipt["events"]) == ("mapped", 1)
    await events(client, "ci.done", 2)
    changes = await events(client, "connector.status_changed", 5)
    assert [change["payload"]["new_status"] for change in changes] == ["STOPPED", "UNKNOWN", "OK", "ERROR", "OK"]
    assert (await post(client, "connectors/tap/test", {})).json()["status"] == "OK"
    assert (await post(client, "connectors/nobody/pause", {})).status_code == 404


async def test_an_agent_sends_what_the_policy_allows(client: httpx.AsyncClient, stand_ins: StandIns) -> None:
    message = {"agent": "agent-7", "title": "the nightly run failed", "severity": "HIGH"}
    assert (await post(client, "connectors/room/send", message)).status_code == 403
    rule = may_send("room")
    assert (await post(client, "policy/rules", rule)).status_code == 201

    async def accepted() -> bool:
        return (await post(client, "connectors/room/send", message)).status_code == 202

    await until(accepted)  # the rules are followed within a moment
    (delivered,) = await events(client, "connector.delivered", 1)
    assert delivered["payload"]["agent_id"] == "agent-7"
    assert (await get(client, "connectors/room"))["sent"] == 1
    assert (await post(client, "connectors/shop/send", message)).status_code == 403  # another resource


async def test_alertmanager_posts_to_us_and_reads_from_us(tmp_path: Path) -> None:
    """Ours fires an alert there; it groups it and posts it back here, and so it does when it is resolved."""
    port = free_port()
    webhook = f"http://127.0.0.1:{port}/api/connectors/alerts/webhook"
    secret = "a-token-of-this-test"
    with AlertmanagerServer(tmp_path, webhook, secret) as alertmanager:
        outbound = {"am": {"kind": "alertmanager", "url": alertmanager.url, "labels": {"team": "ops"}}}
        settings = settings_of(tmp_path, inbound={"alerts": connector("alertmanager", secret)}, outbound=outbound)
        async with running_server(settings.model_copy(update={"port": port})) as (_, client):
            assert (await post(client, "policy/rules", may_send("am"))).status_code == 201
            for host in ("web-1", "web-2"):
                await send_alert(client, host, "trigger")
            fired = await events(client, "connector.received", 2)
            assert {event["payload"]["name"] for event in fired} == {"alert.firing"}
            assert {event["payload"]["fields"]["labels"]["team"] for event in fired} == {"ops"}
            (group,) = await get(client, "connectors/am/alerts")
            assert group["labels"] == {"alertname": "HostDown"}
            assert sorted(alert["labels"]["host"] for alert in group["alerts"]) == ["web-1", "web-2"]
            await send_alert(client, "web-1", "resolve")
            found = await events(client, "connector.received", 3)
            assert found[-1]["payload"]["name"] == "alert.resolved"
            assert found[-1]["payload"]["fields"]["labels"]["host"] == "web-1"
            assert found[-1]["meta"]["correlation_id"] in {event["meta"]["correlation_id"] for event in fired}
            (group,) = await get(client, "connectors/am/alerts")
            assert [alert["labels"]["host"] for alert in group["alerts"]] == ["web-2"]
            test = (await post(client, "connectors/am/test", {})).json()
            assert (test["status"], test["detail"]) == ("OK", f"Alertmanager {test['detail'].split()[1]} answers")


async def send_alert(client: httpx.AsyncClient, host: str, action: str) -> None:
    labels = {"alertname": "HostDown", "host": host}
    message = {"agent": "agent-7", "title": f"{host} is down", "action": action, "labels": labels, "dedup_key": host}

    async def accepted() -> bool:
        return (await post(client, "connectors/am/send", message)).status_code == 202

    await until(accepted)
