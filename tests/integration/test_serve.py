"""`brain serve` as a process of its own: killed and started again, stopped, refused."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.metrics import tasks
from brain.plugins import PluginContext
from brain.server import progress
from brain.settings import Settings
from support.server import ServeProcess, brain, running_server
from support.waiting import until, wait_until

MODULES = ("policy_service", "threats_service", "immune_service")
"""What publishes by itself; the consumers publish besides, at their own pace."""
RULE = {
    "id": "no-deletions",
    "name": "No deletions",
    "effect": "DENY",
    "conditions": [{"field": "action", "operator": "==", "value": "delete"}],
}


@pytest.fixture(params=["sqlite", "redis"])
def stream_url(request: pytest.FixtureRequest) -> str:
    return "sqlite:///brain.db" if request.param == "sqlite" else str(request.getfixturevalue("redis_url"))


def test_rules_threats_health_events_and_the_stream_survive_sigkill(tmp_path: Path, stream_url: str) -> None:
    (tmp_path / "brain.toml").write_text("[detections]\nenabled = false\n")  # they see a denying rule switched off
    with (
        ServeProcess(tmp_path, "--stream", stream_url) as server,
        httpx.Client(base_url=f"{server.url}/api", trust_env=False) as client,
    ):
        client.post("/policy/rules", json=RULE).raise_for_status()
        client.post("/policy/rules/no-deletions/disable").raise_for_status()
        threat = client.post("/threats", json={"type": "scan", "source": "203.0.113.7"}).json()
        client.post(f"/threats/{threat['id']}/status", json={"status": "INVESTIGATING"}).raise_for_status()
        health = {"severity": "CRITICAL", "kind": "AGENT_FAILURE", "module": "m", "message": "gone"}
        client.post("/immune/events", json=health).raise_for_status()
        for number in range(50):
            context = {"agent_id": f"agent-{number}", "action": "delete"}
            assert not client.post("/policy/evaluate", json=context).json()["allowed"]
        server.kill()  # at once: the last decisions' events may still be in the journal only

    with (
        ServeProcess(tmp_path, "--stream", stream_url) as server,
        httpx.Client(base_url=f"{server.url}/api", trust_env=False) as client,
    ):
        rules = client.get("/policy/rules").json()
        assert [(rule["id"], rule["enabled"]) for rule in rules] == [("no-deletions", False)]
        assert client.get(f"/threats/{threat['id']}").json()["status"] == "INVESTIGATING"
        (found,) = client.get("/immune/events").json()
        assert found["message"] == "gone"
        events = _all_events(client)
        assert len(events) == len({event["id"] for event in events}), "nothing twice"
        counts = Counter(event["type"] for event in events if event["source"] in MODULES)
        assert counts == {
            "policy.rule_created": 1,
            "policy.rule_disabled": 1,
            "threat.detected": 1,
            "threat.status_changed": 1,
            "immune.event_published": 1,
            "immune.critical_event": 1,
            "policy.rule_evaluated": 50,
            "policy.action_denied": 50,
        }
        assert server.stop() == 0


def _all_events(client: httpx.Client) -> list[dict[str, Any]]:
    """Every stored event, once what the killed process left in its journal is stored too."""
    for _ in range(200):
        events = client.get("/events", params={"limit": 1000}).json()["events"]
        if sum(row["event"]["source"] in MODULES for row in events) >= 106:
            break
    return [row["event"] for row in events]


def test_sigterm_ends_it_in_order_with_a_follower_attached(tmp_path: Path) -> None:
    with ServeProcess(tmp_path) as server:
        with httpx.stream("GET", f"{server.url}/api/events/live", trust_env=False) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("retry: ")
            assert server.stop() == 0
            assert list(lines) == [""], "the answer was ended, not torn"
        assert '"event": "stopping"' in server.log()
        assert "Traceback" not in server.log()
    assert not list((tmp_path / "brain.db.journal").iterdir()), "the journal was shipped and removed"


def test_the_log_is_json_lines_without_secrets(tmp_path: Path) -> None:
    made = "made the key of the audit log; keep a copy of it"
    with ServeProcess(tmp_path, environment={"BRAIN_API_KEY": "s3cret-key"}) as server:
        refused = httpx.get(f"{server.url}/api/threats", headers={"Authorization": "Bearer s3cret-kex"})
        assert refused.status_code == 401
        wait_until(lambda: made in server.log())
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.log().splitlines()]
    told = {line["event"]: line for line in lines}
    assert told.keys() == {made, "listening", "request refused", "stopping"}, server.log()
    assert told["listening"]["url"] == server.url
    assert "s3cret" not in server.log()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_beyond_this_machine_without_a_key_is_refused(tmp_path: Path, host: str) -> None:
    ended = brain("serve", "--host", host, "--port", "0", folder=tmp_path)
    assert ended.returncode == 2
    assert "BRAIN_API_KEY" in ended.stderr
    assert ended.stdout == ""
    assert not list(tmp_path.iterdir()), "it is refused before anything is opened"


def test_a_port_in_use_is_refused_naming_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = brain("serve", "--port", str(port), folder=tmp_path)
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_consumer_that_has_not_begun_is_named_in_readyz(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(context: PluginContext) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(tasks, "count", never)
    monkeypatch.setattr(progress, "STILL_SECONDS", 0.2)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.02)
    async with running_server(Settings(stream="memory://", consumers=("metrics",), port=0)) as (_, client):

        async def named() -> bool:
            answer = await client.get("/readyz")
            return answer.status_code == 503 and "group brain.metrics: it has not begun" in answer.text

        await until(named)


OURS = {f"brain.{name}" for name in ("audit", "metrics", "alerting", "incidents")}


def test_a_node_with_another_database_is_refused_and_doctor_names_it_until_the_groups_are_adopted(
    tmp_path: Path, redis_url: str
) -> None:
    """Two nodes with default settings on two machines: each would send every page."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    with (
        ServeProcess(first, "--stream", redis_url) as server,
        httpx.Client(base_url=f"{server.url}/api", trust_env=False) as client,
    ):
        client.post("/threats", json={"type": "scan", "source": "203.0.113.7"}).raise_for_status()
        wait_until(lambda: client.get("/audit", params={"pattern": "threat.detected"}).json() != [])
        wait_until(lambda: {group["name"] for group in client.get("/groups").json()} >= OURS)
        refused = brain("serve", "--stream", redis_url, "--port", "0", folder=second)
    assert refused.returncode == 2
    assert "group brain.a" in refused.stderr
    assert f"{first / 'brain-consumers.db'}" in refused.stderr
    assert "brain groups adopt" in refused.stderr

    named = brain("doctor", "--stream", redis_url, "--json", folder=second)
    findings = {finding["part"]: finding for finding in json.loads(named.stdout) if finding["state"] == "bad"}
    assert str(first / "brain-consumers.db") in findings["group brain.alerting"]["finding"]
    assert brain("groups", "adopt", "--stream", redis_url, folder=second).returncode == 2, "it asks for --yes"
    assert brain("groups", "adopt", "--yes", "--stream", redis_url, folder=second).returncode == 0
    with ServeProcess(second, "--stream", redis_url) as server:
        assert server.stop() == 0
    assert brain("serve", "--stream", redis_url, "--port", "0", folder=first).returncode == 2
