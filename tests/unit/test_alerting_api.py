"""Alerts and silences over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from fastapi.testclient import TestClient

from brain import Event, EventStream
from brain.alerting.http import alerting_router
from brain.alerting.http_models import NewSilence
from brain.alerting.signal_rules import SignalRules, _denied
from brain.alerting.signals import Fires
from brain.alerting.tables import CONSUMER
from brain.kit.outbox import ship_waiting
from brain.threats.events import DETECTED
from support.alerting import Alerting
from support.http import client_of


@pytest_asyncio.fixture
async def stream() -> AsyncIterator[EventStream]:
    async with EventStream.open("memory://") as opened:
        yield opened


@pytest.fixture
def alerting() -> Alerting:
    return Alerting()


@pytest.fixture
def client(alerting: Alerting, stream: EventStream) -> TestClient:
    return client_of(alerting_router(alerting.service, stream, alerting.clock))


async def types(alerting: Alerting, stream: EventStream) -> list[str]:
    await ship_waiting(alerting.engine, CONSUMER, stream)
    return [event.type async for event in stream.replay("alert.*")]


async def test_alerts_are_listed_taken_on_and_closed(
    alerting: Alerting, client: TestClient, stream: EventStream
) -> None:
    alerting.see(alerting.detected("thr_1"), alerting.denied())
    alerting.tick(10)
    alerting.clock.advance(1)
    alerting.see(alerting.critical())
    listed = client.get("/api/alerts").json()
    assert listed[0]["key"] == "health billing AGENT_FAILURE"
    (threat,) = [alert for alert in listed if alert["key"] == "thr_1"]
    (said,) = threat["notifications"]
    assert said == {
        "notifier": "pager",
        "action": "trigger",
        "state": "waiting",
        "at": alerting.clock() - 1,
        "error": None,
    }
    assert client.get("/api/alerts", params={"state": "resolved"}).json() == []
    assert len(client.get("/api/alerts", params={"limit": 1}).json()) == 1

    taken = client.post(f"/api/alerts/{threat['id']}/acknowledge", json={"by": " ann "}).json()
    assert (taken["acknowledged_by"], taken["acknowledged_at"]) == ("ann", alerting.clock())
    closed = client.post(f"/api/alerts/{threat['id']}/close", json={"by": "ann"}).json()
    assert (closed["state"], closed["resolved_by"]) == ("resolved", "ann")
    assert client.post(f"/api/alerts/{threat['id']}/close", json={"by": "ann"}).status_code == 409
    assert client.get(f"/api/alerts/{threat['id']}").json() == closed
    for path in ("acknowledge", "close"):
        assert client.post(f"/api/alerts/alr_none/{path}", json={"by": "ann"}).status_code == 404
        assert client.post(f"/api/alerts/{threat['id']}/{path}", json={"by": " "}).status_code == 422
    assert await types(alerting, stream) == ["alert.acknowledged", "alert.closed"]


async def test_silences_are_added_listed_and_removed(
    alerting: Alerting, client: TestClient, stream: EventStream
) -> None:
    alerting.see(alerting.detected("thr_1"))
    body = {"matchers": ["kind=threat"], "ends_at": alerting.clock() + 60, "by": "ann", "reason": "known"}
    added = client.post("/api/silences", json=body)
    assert added.status_code == 201
    silence = added.json()
    assert added.headers["location"] == f"/api/silences/{silence['id']}"
    assert (silence["state"], silence["starts_at"]) == ("active", alerting.clock())
    assert client.get("/api/alerts").json()[0]["silenced_by"] == silence["id"]
    assert client.get("/api/silences").json() == [silence]
    assert client.delete(f"/api/silences/{silence['id']}").status_code == 204
    assert client.delete(f"/api/silences/{silence['id']}").status_code == 404
    assert client.get("/api/silences").json() == []
    for wrong in ({"matchers": ["kind=~.*"]}, {"matchers": ["a=~("]}, {"ends_at": alerting.clock() - 1}, {"by": " "}):
        assert client.post("/api/silences", json={**body, **wrong}).status_code == 422
    later = client.post("/api/silences", json={**body, "starts_at": alerting.clock() + 30}).json()
    assert later["state"] == "pending"
    alerting.clock.advance(61)
    assert client.get("/api/silences").json() == []
    assert [row["state"] for row in client.get("/api/silences", params={"ended": True}).json()] == ["ended"]
    assert await types(alerting, stream) == ["alert.silence_added", "alert.silence_removed", "alert.silence_added"]


def test_the_example_of_a_silence_is_accepted(client: TestClient) -> None:
    (example,) = NewSilence.model_json_schema()["examples"]
    assert client.post("/api/silences", json=example).status_code == 201


async def test_a_timeline_tells_the_story(alerting: Alerting, client: TestClient, stream: EventStream) -> None:
    detected = alerting.detected("thr_1")
    stream.publish(detected)
    stream.publish(alerting.denied(story="another story"))
    alerting.see(detected)
    alerting.tick(10)
    (alert,) = client.get("/api/alerts").json()
    client.post(f"/api/alerts/{alert['id']}/acknowledge", json={"by": "ann"})
    steps = client.get(f"/api/alerts/{alert['id']}/timeline").json()
    assert [step["kind"] for step in steps] == ["threat.detected", "notification", "acknowledged"]
    assert steps[0]["event_id"] == detected.id
    assert DETECTED.example["description"] in steps[0]["text"]
    assert client.get("/api/alerts/alr_none/timeline").status_code == 404


def test_notifiers_are_listed_with_what_waits(alerting: Alerting, client: TestClient) -> None:
    alerting.see(alerting.detected("thr_1"), alerting.detected("thr_2"))
    alerting.tick(10)
    (pager,) = client.get("/api/notifiers").json()
    assert (pager["name"], pager["kind"], pager["waiting"], pager["sent"]) == ("pager", "pagerduty", 2, 0)
    assert pager["oldest_waiting_at"] == alerting.clock()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"action": "shell.run", "resource": ""}, "agent-7 was denied shell.run"),
        ({"action": "shell.run", "resource": None}, "agent-7 was denied shell.run"),
        ({"action": "delete", "resource": "db"}, "agent-7 was denied delete on db"),
    ],
)
def test_a_denial_names_nothing_that_was_not_asked_about(asked: dict[str, str | None], said: str) -> None:
    event = Event(type="policy.action_denied", source="policy_service", payload={"agent_id": "agent-7", **asked})
    (signal,) = _denied(SignalRules(), event)
    assert isinstance(signal, Fires)
    assert signal.summary == said
