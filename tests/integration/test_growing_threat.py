"""A threat that grows, in a whole server with its alerting over real HTTP: who is paged, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brain.demo.stand_ins import StandIns
from brain.demo.stand_ins.webhook import WRITTEN_KEY
from brain.settings import Settings
from support.server import running_server
from support.waiting import until

AGENT = {"agent_id": "agent-7", "agent_role": "guest", "action": "drop", "resource": "db"}


def settings(folder: Path, url: str) -> Settings:
    """A server that pages one webhook by the default route, whose first page would wait for 10 s."""
    hook = {"kind": "webhook", "url": f"{url}/webhook/hook", "key": WRITTEN_KEY}
    return Settings(
        stream=f"sqlite:///{folder}/brain.db",
        port=0,
        alerting={"warm_up": 0.2, "notifiers": {"hook": hook}},
        consumers=("audit", "alerting", "incidents", "metrics"),
    )


@pytest.mark.alone  # two seconds are two seconds
async def test_150_denials_of_one_agent_are_paged_as_critical_within_two_seconds_once(tmp_path: Path) -> None:
    stand_ins = StandIns()
    async with stand_ins.running(), running_server(settings(tmp_path, stand_ins.url)) as (_, client):

        def paged() -> list[dict[str, Any]]:
            return [page for page in stand_ins.webhook.messages.values() if page["severity"] == "CRITICAL"]

        async def counted() -> bool:
            return 'brain_threats_open{severity="CRITICAL"} 1.0' in (await client.get("/metrics")).text

        async def evidence_of_150() -> bool:
            [threat] = (await client.get("/api/threats")).json()
            return threat["metadata"]["evidence"] == {"denials": 150}

        for _ in range(100):  # so many are CRITICAL
            await client.post("/api/policy/evaluate", json=AGENT)
        await until(lambda: len(paged()) == 1, 2.0)
        for _ in range(50):
            await client.post("/api/policy/evaluate", json=AGENT)
        await until(evidence_of_150)
        [threat] = (await client.get("/api/threats")).json()
        [alert] = [one for one in (await client.get("/api/alerts")).json() if one["key"] == threat["id"]]
        await until(counted)
    assert (threat["severity"], alert["severity"]) == ("CRITICAL", "CRITICAL")
    assert len(paged()) == 1
    [page] = stand_ins.webhook.messages.values()
    assert page["action"] == "trigger"
    assert page["summary"] == "now critical: policy_denials from agent-7: 100 actions of this agent were denied"
