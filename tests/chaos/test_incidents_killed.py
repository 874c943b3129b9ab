"""kill -9 of `brain worker incidents` at random points under load: one incident, one issue and one record a story."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from brain import EventStream, HealthEvent, ImmuneService, ThreatService
from brain.demo.stand_ins import JiraStandIn, StandIns
from brain.incidents.service import IncidentService
from brain.incidents.settings import IncidentSettings
from brain.kit.database import open_database
from brain.store import open_store
from support import incident_worker
from support.incident_house import mirrored, waiting
from support.processes import kill, spawn
from support.sizes import sizes
from support.waiting import until

SEED = 20261125


def toml(values: dict[str, Any], table: str = "") -> str:
    """The values as TOML; enough of it for settings."""
    plain = [f"{name} = {json.dumps(value)}" for name, value in values.items() if not isinstance(value, dict)]
    tables = [toml(value, f"{table}.{name}".strip(".")) for name, value in values.items() if isinstance(value, dict)]
    return "\n".join([f"[{table}]" if table else "", *plain, *tables])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kills", sizes(3, 50))
async def test_one_ticket_a_story_in_each_system(kills: int, tmp_path: Path) -> None:
    stand_ins = StandIns()
    stand_ins.jira.index_seconds = 0.3  # its search lags behind, as Jira's does
    chance = random.Random(SEED)
    url = f"sqlite:///{tmp_path}/brain.db"
    async with stand_ins.running(), EventStream.open(url) as stream:
        incidents = mirrored(stand_ins.url, lease_seconds=3.0, poll_seconds=1.0)
        incidents["jira"]["settle_seconds"] = 1.0
        settings = {"stream": url, "log_level": "error", "incidents": incidents}
        (tmp_path / "brain.toml").write_text(toml(settings))
        store = open_store(url)
        threats, immune = ThreatService(stream, store), ImmuneService(stream, store)
        active: list[str] = []
        mitigated: set[str] = set()
        flooded = 0

        async def load() -> None:
            nonlocal flooded
            threat = await threats.create_threat(
                "ssh_brute_force", f"203.0.113.{len(active)}", "HIGH", "failed passwords"
            )
            active.append(threat.id)
            await threats.update_threat_status(threat.id, "ESCALATED", "a login succeeded")
            for _ in range(chance.randrange(10)):
                flooded += 1
                event = HealthEvent("CRITICAL", "ERROR_SPIKE", "billing", f"{flooded} errors", correlation_id="flood")
                await immune.publish_event(event)
            if chance.random() < 0.5 and (rest := [id for id in active if id not in mitigated]):
                mitigated.add(rest[0])
                await threats.update_threat_status(rest[0], "MITIGATED", "blocked at the edge")

        worker = spawn(incident_worker.run, str(tmp_path))
        for _ in range(kills):
            await load()
            await asyncio.sleep(chance.uniform(0.1, 0.7))
            assert worker.is_alive()
            await asyncio.to_thread(kill, worker)
            worker = spawn(incident_worker.run, str(tmp_path))
        database = open_database(f"sqlite:///{tmp_path}/brain-consumers.db")

        async def done() -> bool:
            groups = {group.name: group for group in await stream.groups()}
            return "brain.incidents" in groups and groups["brain.incidents"].lag == 0 and waiting(database) == 0

        await until(done, 90)
        await asyncio.to_thread(kill, worker)
        service = IncidentService(database, IncidentSettings())
        found = await service.list(limit=1000)
        opened = [event async for event in stream.replay("incident.opened")]
        database.dispose()
        store.close()

    stories = {*active, *(["flood"] if flooded else [])}
    print(f"{kills} kills, {len(stories)} stories, {len(opened)} openings stored, {_requests(stand_ins)}")
    assert Counter(incident["correlation_id"] for incident in found) == Counter(stories)
    assert sorted(incident["number"] for incident in found) == list(range(1, len(found) + 1))
    assert Counter(event.payload["incident_id"] for event in opened) == Counter(incident["id"] for incident in found)
    keys = {incident["correlation_id"]: {m["system"]: m["key"] for m in incident["mirrors"]} for incident in found}
    assert len(stand_ins.jira.issues) == len(stand_ins.servicenow.incidents) == len(stories)
    assert {key["jira"] for key in keys.values()} == set(stand_ins.jira.issues)
    records = {one["number"]: one for one in stand_ins.servicenow.incidents.values()}
    assert {key["servicenow"] for key in keys.values()} == set(records)
    for story in active:
        issue, record = stand_ins.jira.issues[keys[story]["jira"]], records[keys[story]["servicenow"]]
        over = story in mitigated
        assert (issue["status"], record["state"]) == (("Done", "6") if over else ("To Do", "1"))
        for told in (_jira_words(issue), record["description"] + "\n".join(record["work_notes"])):
            assert told.count("was escalated") == 1
            assert told.count("was mitigated after") == over


def _jira_words(issue: dict[str, Any]) -> str:
    return json.dumps(issue["fields"]["description"]) + "\n".join(issue["comments"])


def _requests(stand_ins: StandIns) -> str:
    jira: JiraStandIn = stand_ins.jira
    return f"{len(jira.received)} requests to Jira, {len(stand_ins.servicenow.received)} to ServiceNow"
