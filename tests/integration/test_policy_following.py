"""A real server whose rules cannot be read any more: `/readyz`, `/metrics`, `brain doctor` and decisions say so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from brain.policy import prometheus
from brain.store import Store, open_store
from support.command import Command
from support.server import ServeThread, running_server, without_consumers
from support.waiting import until, wait_until

ALLOW = {"id": "all", "name": "All", "effect": "ALLOW", "everyone": True}
ASKED = {"agent_id": "a1", "agent_role": "guest", "action": "read"}
Server = tuple[httpx.AsyncClient, Store]


@pytest.fixture
def limit() -> float | None:
    return None


@pytest.fixture
async def server(tmp_path: Path, limit: float | None) -> AsyncIterator[Server]:
    """A client of a server with one rule, and the server's store, opened once more."""
    url = f"sqlite:///{tmp_path / 'brain.db'}"
    store = open_store(url)
    async with running_server(without_consumers(url, max_rules_age=limit)) as (_, client):
        assert (await client.post("/api/policy/rules", json=ALLOW)).status_code == 201
        yield client, store
    store.close()


def break_rules(store: Store) -> None:
    """Store what no version of ours would: no engine can read the whole set from now on."""
    store.put("policy.rules", "bad", b'{"id": "bad"}')


def mend_rules(store: Store) -> None:
    store.delete("policy.rules", "bad")


async def metrics(client: httpx.AsyncClient) -> dict[str, float]:
    text = (await client.get("/metrics")).text
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("brain_policy_")
    }


async def ready(client: httpx.AsyncClient) -> tuple[int, Any]:
    answer = await client.get("/readyz")
    return answer.status_code, answer.json()["checks"]["rules"]


async def is_unready(client: httpx.AsyncClient) -> bool:
    return (await ready(client))[0] == 503


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await ready(client))[0] == 200


async def test_all_well(server: Server) -> None:
    client, _ = server
    assert await ready(client) == (200, "ok")
    found = await metrics(client)
    assert 0 <= found["brain_policy_rules_age_seconds"] < prometheus.READY_SECONDS
    assert found["brain_policy_follow_failures_total"] == 0
    assert found["brain_policy_follower_restarts_total"] == 0


async def test_unready_while_the_rules_are_not_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "READY_SECONDS", 0.6)
    client, store = server
    break_rules(store)
    await until(lambda: is_unready(client))
    answer = (await client.get("/readyz")).json()
    assert answer["checks"]["rules"].endswith(" s ago, 0.6 s are allowed; see the log")
    assert answer["checks"]["store"] == "ok"
    found = await metrics(client)
    assert found["brain_policy_rules_age_seconds"] > 0.6
    assert found["brain_policy_follow_failures_total"] > 0
    assert (await client.post("/api/policy/evaluate", json=ASKED)).json()["allowed"] is True, "max_rules_age is off"
    mend_rules(store)
    await until(lambda: is_ready(client))


@pytest.mark.parametrize("limit", [1.0])
async def test_all_is_denied_beyond_max_rules_age(server: Server) -> None:
    client, store = server
    assert (await client.post("/api/policy/evaluate", json=ASKED)).json()["allowed"] is True
    break_rules(store)
    await until(lambda: is_unready(client))
    decision = (await client.post("/api/policy/evaluate", json=ASKED)).json()
    assert (decision["allowed"], decision["effect"], decision["rule_id"]) == (False, "DENY", None)
    assert "more than 1 s ago (max_rules_age)" in decision["reason"]
    assert "every action is denied" in (await ready(client))[1]
    explained = (await client.post("/api/policy/explain", json=ASKED)).json()
    assert explained["decision"] == decision

    async def is_recorded() -> bool:
        denied = await client.get("/api/events", params={"pattern": "policy.action_denied"})
        return decision["reason"] in denied.text

    await until(is_recorded)
    mend_rules(store)
    await until(lambda: is_ready(client))
    assert (await client.post("/api/policy/evaluate", json=ASKED)).json()["rule_id"] == "all"


def test_doctor_names_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'brain.db'}"
    store = open_store(url)
    server = ServeThread(without_consumers(url, max_rules_age=1)).start()
    doctor = Command(tmp_path, int(server.url.rpartition(":")[2]))
    try:
        found = {row["part"]: row for row in doctor("doctor", "--json").json}
        assert found["rules"]["state"] == "ok"
        assert "0 looks have failed" in found["rules"]["finding"]
        break_rules(store)
        wait_until(lambda: not httpx.get(f"{server.url}/readyz", timeout=60, trust_env=False).is_success)
        ended = doctor("doctor", "--json")
        found = {row["part"]: row for row in ended.json}
        assert ended.code == 1
        assert found["rules"]["state"] == found["server"]["state"] == "bad"
        assert "every action is denied" in found["rules"]["finding"]
        assert "each stored rule can be read" in found["rules"]["remedy"]
    finally:
        server.stop()
        store.close()
