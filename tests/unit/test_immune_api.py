"""Health over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from fastapi.testclient import TestClient

from brain import EventStream
from brain.immune import ImmuneService
from brain.immune.http import immune_router
from brain.immune.vitals import Vitals
from brain.kit.database import open_database
from brain.plugins import PluginContext
from brain.settings import Settings
from brain.store import open_store
from brain.testing import RecordingStream
from support.http import client_of

NEW = {"severity": "CRITICAL", "kind": "AGENT_FAILURE", "module": "bill", "message": "gone", "details": {"n": 1}}


@pytest.fixture
def client(recording_stream: RecordingStream) -> Iterator[TestClient]:
    engine = open_database("memory://")
    context = PluginContext(cast(EventStream, None), open_store("memory://"), engine, Settings(stream="memory://"))
    yield client_of(immune_router(ImmuneService(recording_stream), Vitals(context)))
    engine.dispose()


def test_heartbeats_are_listed_until_the_agent_leaves(client: TestClient) -> None:
    beat = client.post("/api/immune/heartbeat", json={"agent_id": "a/1", "interval_seconds": 10}).json()
    assert beat["due_at"] == beat["seen_at"] + 30
    assert client.get("/api/immune/heartbeats").json() == [beat]
    assert client.post("/api/immune/heartbeat", json={"agent_id": "a", "resources": {"disk": 2}}).status_code == 422
    assert client.delete("/api/immune/heartbeats/a%2F1").status_code == 204
    assert client.get("/api/immune/heartbeats").json() == []


def test_each_module_has_a_score_with_its_reasons(client: TestClient) -> None:
    for module in ("bill", "mail"):
        client.post("/api/immune/events", json={**NEW, "module": module, "severity": "WARNING"})
    client.post("/api/immune/events", json=NEW)
    found = client.get("/api/immune/modules").json()
    assert [(one["module"], one["score"], one["status"]) for one in found] == [
        ("bill", 72, "DEGRADED"),
        ("mail", 97, "HEALTHY"),
    ]
    assert found[1]["reasons"] == [{"points": 3.0, "text": "mail: 1 WARNING AGENT_FAILURE"}]


def test_record_list_and_sum_up(client: TestClient, recording_stream: RecordingStream) -> None:
    recorded = client.post("/api/immune/events", json={**NEW, "correlation_id": "story"})
    assert (recorded.status_code, recorded.json()) == (201, {"id": 1})
    [event] = client.get("/api/immune/events").json()
    assert event == {**NEW, "id": 1, "timestamp": event["timestamp"], "correlation_id": "story"}
    assert client.get("/api/immune/events", params={"severity": "INFO"}).json() == []
    assert client.get("/api/immune/events", params={"module": "bill", "kind": "AGENT_FAILURE"}).json() == [event]
    health = client.get("/api/immune/health", params={"minutes": 5}).json()
    assert (health["score"], health["status"], health["total"]) == (75, "DEGRADED", 1)
    assert health["reasons"] == [{"points": 25.0, "text": "bill: 1 CRITICAL AGENT_FAILURE"}]
    assert [published.correlation_id for published in recording_stream.events] == ["story", "story"]


@pytest.mark.parametrize(
    "change",
    [{"severity": "BAD"}, {"kind": "BAD"}, {"module": ""}, {"module": " "}, {"details": []}, {"id": 7}, {"message": 3}],
)
def test_a_bad_event_is_refused(client: TestClient, change: dict[str, object]) -> None:
    assert client.post("/api/immune/events", json={**NEW, **change}).status_code == 422
    assert client.get("/api/immune/events").json() == []


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "many", "inf"])
def test_bad_minutes_are_refused(client: TestClient, minutes: str) -> None:
    assert client.get("/api/immune/health", params={"minutes": minutes}).status_code == 422


def test_every_field_is_described(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("NewHealthEvent", "HealthEventNumber", "HealthEventView", "ReasonView", "HealthSummaryView"):
        for field, schema in schemas[name]["properties"].items():
            assert schema.get("description"), f"{name}.{field}"
