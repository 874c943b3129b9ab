"""Health over HTTP."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from brain.immune import ImmuneService
from brain.immune.http import immune_router
from brain.testing import RecordingStream
from support.http import client_of

NEW = {"severity": "CRITICAL", "kind": "AGENT_FAILURE", "module": "bill", "message": "gone", "details": {"n": 1}}


@pytest.fixture
def client(recording_stream: RecordingStream) -> TestClient:
    return client_of(immune_router(ImmuneService(recording_stream)))


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
