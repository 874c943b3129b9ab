"""Incident automation on a real stream and database, with stand-ins for Jira and ServiceNow over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from brain import EventStream, ImmuneService, ThreatService
from brain.audit.settings import AuditSettings
from brain.connectors.sender import RetryPolicy
from brain.demo.stand_ins import StandIns
from brain.demo.stand_ins import jira as jira_stand_in
from brain.demo.stand_ins import servicenow as servicenow_stand_in
from brain.incidents import tables
from brain.incidents.service import IncidentService
from brain.incidents.settings import IncidentSettings
from brain.incidents.tasks import IncidentTasks
from brain.kit.database import open_database, reading
from brain.kit.outbox import events, outbox
from brain.kit.protocols import AuditProofs
from brain.plugins import PluginContext, plugins
from brain.settings import Settings
from brain.store import open_store
from support.waiting import until

RETRIES = RetryPolicy(attempts=2, timeout=5.0, wait=0.05, max_wait=0.2)
WEBHOOK_SECRET = "a secret that only Jira and we know"


def mirrored(url: str, **more: Any) -> dict[str, Any]:
    """The table `[incidents]` for stand-ins at that URL, impatient."""
    return {
        "comment_seconds": 0.0,
        "poll_seconds": None,
        "per_minute": 100_000,
        "lease_seconds": 20.0,
        "jira": {
            "url": f"{url}/jira",
            "user": jira_stand_in.USER,
            "token": jira_stand_in.TOKEN,
            "project": jira_stand_in.PROJECT,
            "settle_seconds": 0.2,
            "webhook_secret": WEBHOOK_SECRET,
        },
        "servicenow": {
            "url": f"{url}/servicenow",
            "user": servicenow_stand_in.USER,
            "password": servicenow_stand_in.PASSWORD,
            "settle_seconds": 0.2,
            "webhook_secret": WEBHOOK_SECRET,
        },
        **more,
    }


@dataclass
class Running:
    """What a test works with."""

    stream: EventStream
    house: PluginContext
    threats: ThreatService
    immune: ImmuneService
    incidents: IncidentService
    stand_ins: StandIns
    tasks: IncidentTasks

    async def look_at(self, id: str, system: str) -> None:
        """Look at the incident's ticket, as is done every `poll_seconds`."""
        await self.tasks.poll(id, system)

    async def escalated(self, source: str = "203.0.113.77", severity: str = "HIGH") -> str:
        """A threat that is escalated; its id, which is its story's too."""
        threat = await self.threats.create_threat("ssh_brute_force", source, severity, "80 failed passwords")
        await self.threats.update_threat_status(threat.id, "ESCALATED", "a login succeeded")
        return threat.id

    async def one(self, story: str) -> dict[str, Any]:
        """The story's only incident, as soon as it is there."""
        await until(lambda: self._count(story) > 0)
        (found,) = await self.incidents.list(correlation_id=story)
        return await self.incidents.get(found["id"])

    def _count(self, story: str) -> int:
        query = sa.select(sa.func.count()).where(tables.incidents.c.correlation_id == story)
        with reading(self.house.database).begin() as db:
            return db.execute(query).scalar_one()

    async def becomes(self, id: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The incident once it fits."""

        async def fitting() -> bool:
            return fits(await self.incidents.get(id))

        await until(fitting)
        return await self.incidents.get(id)

    async def quiet(self) -> None:
        """Until the projection has read everything and the outbox has sent everything."""

        async def done() -> bool:
            groups = {group.name: group for group in await self.stream.groups()}
            group = groups.get("brain.incidents")
            return group is not None and group.lag == 0 and waiting(self.house.database) == 0

        await until(done)


def waiting(database: sa.Engine) -> int:
    """Rows of the outbox that wait: messages and events."""
    messages = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == "waiting")
    with reading(database).begin() as db:
        return db.execute(messages).scalar_one() + db.execute(sa.select(sa.func.count(events.c.id))).scalar_one()


@asynccontextmanager
async def running(
    folder: Path, stand_ins: StandIns | None = None, database: str | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """Everything at work inside the block, on the files in `folder`; stand-ins must be running."""
    stand_ins = stand_ins or StandIns()
    table = mirrored(stand_ins.url, **settings) if stand_ins.url else settings
    url = f"sqlite:///{folder}/brain.db"
    engine = open_database(database or f"sqlite:///{folder}/consumers.db")
    async with EventStream.open(url) as stream:
        store = open_store(url)
        settings_of_all = Settings(
            stream=url, incidents=IncidentSettings(**table), audit=AuditSettings(key_file=folder / "audit.key")
        )
        house = PluginContext(stream, store, engine, settings_of_all, plugins())
        async with IncidentTasks.open(house, wait=0.1, retries=RETRIES) as incident_tasks:
            tasks = [asyncio.create_task(loop()) for loop in incident_tasks.loops]
            service = IncidentService(
                engine,
                house.table(IncidentSettings),
                proofs=house.find(AuditProofs),
            )
            try:
                yield Running(
                    stream,
                    house,
                    ThreatService(stream, store),
                    ImmuneService(stream, store),
                    service,
                    stand_ins,
                    incident_tasks,
                )
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                store.close()
                engine.dispose()
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
