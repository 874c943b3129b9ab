"""All outside services are down for the whole run, then up: nothing is lost or doubled, and nobody else notices."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from brain.demo.services import with_stand_ins
from brain.demo.stand_ins import StandIns
from brain.kit.database import open_database
from brain.kit.outbox import outbox
from brain.server.running import running
from brain.settings import Settings
from support.sizes import sizes
from support.waiting import until


@pytest.fixture
async def stand_ins() -> AsyncIterator[StandIns]:
    services = StandIns()
    async with services.running():
        yield services


def break_all(services: StandIns) -> None:
    services.pagerduty.fail("down")
    services.slack.fail("unauthorized")
    services.webhook.fail("drop")
    services.jira.fail("error")
    services.servicenow.fail("busy", seconds=1)


async def escalate(client: httpx.AsyncClient, number: int) -> None:
    threat = {"type": "data_exfiltration", "source": f"192.0.2.{number}", "severity": "CRITICAL"}
    made = (await client.post("/api/threats", json=threat)).raise_for_status().json()
    moved = await client.post(f"/api/threats/{made['id']}/status", json={"status": "ESCALATED", "reason": "it spreads"})
    moved.raise_for_status()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("stories", sizes(3, 24))
async def test_all_of_them_down_then_up(stories: int, tmp_path: Path, stand_ins: StandIns) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    settings = with_stand_ins(Settings(stream=url, store=url, port=0), stand_ins.url)
    database = open_database(f"sqlite:///{tmp_path}/brain-consumers.db")
    break_all(stand_ins)
    async with (
        running(settings) as server,
        httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client,
    ):
        for number in range(stories):
            await escalate(client, number)

        async def get(path: str) -> Any:
            return (await client.get(f"/api{path}")).raise_for_status().json()

        async def incidents_open() -> bool:
            return len(await get("/incidents")) == stories

        async def all_channels_tried() -> bool:
            with database.connect() as db:
                tried = set(db.execute(sa.select(outbox.c.channel).where(outbox.c.attempts > 0)).scalars())
            return {"pagerduty-stand-in", "webhook-stand-in", "slack-stand-in", "jira", "servicenow"} <= tried

        await until(incidents_open, 60)
        await until(all_channels_tried, 60)

        # Nobody else notices: decisions are made, events are stored and logged, the server is ready.
        begun = time.monotonic()
        for number in range(36):  # few enough of each agent, and by few enough agents, to be no threat
            question = {"agent_id": f"agent-{number % 9}", "action": "read", "resource": "db"}
            (await client.post("/api/policy/evaluate", json=question)).raise_for_status()
        assert time.monotonic() - begun < 30
        assert (await client.get("/readyz")).is_success

        async def audited() -> bool:
            groups = {group["name"]: group for group in await get("/groups")}
            return all(groups[f"brain.{name}"]["lag"] == 0 for name in ("audit", "metrics", "alerting", "incidents"))

        await until(audited, 60)
        assert (await client.post("/api/audit/verify", json={})).json()["ok"]
        held = (stand_ins.pagerduty.alerts, stand_ins.webhook.messages, stand_ins.jira.issues)
        assert not any(held)
        assert not stand_ins.servicenow.incidents

        stand_ins.recover()

        def waiting() -> int:
            with database.connect() as db:
                rows = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == "waiting")
                return int(db.execute(rows).scalar_one())

        await until(lambda: len(stand_ins.pagerduty.alerts) >= stories, 120)
        await until(lambda: len(stand_ins.jira.issues) >= stories, 120)
        await until(lambda: len(stand_ins.servicenow.incidents) >= stories, 120)
        await until(lambda: waiting() == 0, 120)

        mirrors = [mirror for incident in await get("/incidents") for mirror in incident["mirrors"]]

    about = (alert["dedup_key"] for alert in stand_ins.pagerduty.alerts)  # one more says that Slack did not know us
    pages = Counter(key for key in about if not key.startswith("connection "))
    assert len(pages) == stories
    assert set(pages.values()) == {1}
    assert len(stand_ins.jira.issues) == stories
    assert len(stand_ins.servicenow.incidents) == stories
    assert sorted(mirror["system"] for mirror in mirrors) == ["jira"] * stories + ["servicenow"] * stories
    assert len({(mirror["system"], mirror["key"]) for mirror in mirrors}) == 2 * stories
    with database.connect() as db:
        refused = db.execute(sa.select(outbox.c.channel, outbox.c.last_error).where(outbox.c.state == "refused")).all()
    assert refused == []
    database.dispose()
