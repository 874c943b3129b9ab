"""Threats over HTTP."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from brain.testing import RecordingStream
from brain.threats import ThreatService
from brain.threats.http import threats_router
from support.http import client_of

NEW = {"type": "port_scan", "source": "10.0.0.9", "severity": "HIGH", "metadata": {"ports": 500}}


@pytest.fixture
def client(recording_stream: RecordingStream) -> TestClient:
    return client_of(threats_router(ThreatService(recording_stream)))


def test_create_get_list_move_and_count(client: TestClient, recording_stream: RecordingStream) -> None:
    created = client.post("/api/threats", json=NEW)
    assert created.status_code == 201
    threat = created.json()
    assert created.headers["Location"] == f"/api/threats/{threat['id']}"
    assert threat["status"] == "OPEN"
    assert threat["allowed_moves"] == ["INVESTIGATING", "ESCALATED", "MITIGATED", "IGNORED"]
    assert threat["mitigated_at"] is None
    assert client.get(f"/api/threats/{threat['id']}").json() == threat
    assert client.get("/api/threats").json() == client.get("/api/threats/worst").json() == [threat]
    assert client.get("/api/threats", params={"severity": ["LOW", "HIGH"], "status": "OPEN"}).json() == [threat]
    assert client.get("/api/threats", params={"source": "10.0.0.8"}).json() == []

    moved = client.post(f"/api/threats/{threat['id']}/status", json={"status": "MITIGATED", "reason": "blocked"})
    assert moved.status_code == 200
    move = {"old": "OPEN", "new": "MITIGATED", "at": 0, "reason": "blocked", "by": None}
    assert moved.json()["history"][0] | {"at": 0} == move
    assert moved.json()["mitigate_seconds"] == moved.json()["investigate_seconds"] >= 0
    assert client.get("/api/threats/worst").json() == []
    stats = client.get("/api/threats/stats").json()
    assert (stats["total"], stats["active"], stats["mitigated"], stats["by_status"]["MITIGATED"]) == (1, 0, 1, 1)
    assert stats["mttm_seconds"] >= 0
    assert [event.type for event in recording_stream.events] == [
        "threat.detected",
        "threat.status_changed",
        "threat.mitigated",
    ]


@pytest.mark.parametrize(
    "change",
    [{"severity": "HUGE"}, {"type": ""}, {"type": "  "}, {"source": None}, {"id": "mine"}, {"metadata": [1]}],
)
def test_a_bad_threat_is_refused(client: TestClient, change: dict[str, object]) -> None:
    assert client.post("/api/threats", json={**NEW, **change}).status_code == 422
    assert client.get("/api/threats").json() == []


def test_an_illegal_move_lists_the_allowed_ones(client: TestClient) -> None:
    id = client.post("/api/threats", json=NEW).json()["id"]
    answer = client.post(f"/api/threats/{id}/status", json={"status": "RESOLVED"})
    assert answer.status_code == 409
    assert answer.json()["detail"].endswith("allowed: INVESTIGATING, ESCALATED, MITIGATED, IGNORED")
    assert client.post(f"/api/threats/{id}/status", json={"status": "GONE"}).status_code == 422
    assert client.post(f"/api/threats/{id}/status", json={"status": "IGNORED", "by": "me"}).status_code == 422


def test_an_unknown_id_is_not_found(client: TestClient) -> None:
    assert client.get("/api/threats/thr_0").status_code == 404
    assert client.post("/api/threats/thr_0/status", json={"status": "IGNORED"}).status_code == 404


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": "many"}, {"status": "NEW"}])
def test_a_bad_query_is_refused(client: TestClient, query: dict[str, object]) -> None:
    assert client.get("/api/threats", params=query).status_code == 422  # type: ignore[arg-type]


async def test_the_answer_is_the_threats_document() -> None:
    service = ThreatService()
    threat = await service.create_threat("t", "s", metadata={"a": [1]})
    threat = await service.update_threat_status(threat.id, "MITIGATED", "why")
    client = client_of(threats_router(service))
    assert client.get(f"/api/threats/{threat.id}").json() == threat.document()


def test_every_field_is_described(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("NewThreat", "NewStatus", "ThreatView", "MoveView", "ThreatStatsView"):
        for field, schema in schemas[name]["properties"].items():
            assert schema.get("description"), f"{name}.{field}"


def test_a_threat_is_assigned_and_commented_on(client: TestClient, recording_stream: RecordingStream) -> None:
    id = client.post("/api/threats", json=NEW).json()["id"]
    for name in (" ann ", "ann"):
        assert client.post(f"/api/threats/{id}/assignee", json={"assignee": name}).json()["assignee"] == "ann"
    added = client.post(f"/api/threats/{id}/comments", json={"text": "password=hunter22 was used"})
    assert added.status_code == 201
    assert client.get("/api/threats").json() == [added.json()]
    [comment] = added.json()["comments"]
    assert comment["text"].startswith("password=redacted:assigned:")
    assert client.post(f"/api/threats/{id}/assignee", json={"assignee": None}).json()["assignee"] is None
    for path, body in (("comments", {"text": " "}), ("comments", {"text": "x" * 2_001}), ("assignee", {})):
        assert client.post(f"/api/threats/{id}/{path}", json=body).status_code == 422
    _, assigned, commented, freed = recording_stream.events
    assert {event.correlation_id for event in recording_stream.events} == {id}
    assert (assigned.type, assigned.payload["old_assignee"], assigned.payload["assignee"]) == (
        "threat.assigned",
        None,
        "ann",
    )
    assert (commented.type, commented.payload["text"], commented.payload["comment_id"]) == (
        "threat.commented",
        comment["text"],
        comment["id"],
    )
    assert (freed.payload["assignee"], freed.payload["version"]) == (None, 4)
