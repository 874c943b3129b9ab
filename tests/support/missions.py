"""Missions on a database, with a clock that stands still."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from brain.charter import Event
from brain.kit.outbox import events
from brain.kit.protocols import EffectGuard
from brain.missions.claiming import ClaimedTask, Wanted
from brain.missions.models import NewMission
from brain.missions.service import MissionService
from brain.missions.settings import MissionSettings
from brain.missions.tables import make_tables
from brain.missions.timekeeping import keep_time
from support.clock import Clock


def diamond(name: str = "diamond", **more: Any) -> NewMission:
    """a, then b and c, then d."""
    tasks = [
        {"id": "a", "type": "step"},
        {"id": "b", "type": "step", "depends_on": ["a"]},
        {"id": "c", "type": "step", "depends_on": ["a"]},
        {"id": "d", "type": "step", "depends_on": ["b", "c"]},
    ]
    return NewMission.model_validate({"name": name, "tasks": tasks, **more})


class World:
    """A service, its clock, and what it announced."""

    def __init__(self, database: sa.Engine, guard: EffectGuard | None = None, **settings: Any) -> None:
        make_tables(database)
        self.database = database
        self.clock = Clock()
        self.service = MissionService(database, MissionSettings(**settings), self.clock, guard=guard)

    async def lease(self, agent: str = "ann", most: int = 1, **more: Any) -> list[ClaimedTask]:
        return await self.service.lease(Wanted(agent, most=most, **more))

    async def names(self, agent: str = "ann", most: int = 10) -> list[str]:
        return sorted(task.name for task in await self.lease(agent, most))

    async def work(self, agent: str = "ann", most: int = 100) -> list[str]:
        """Lease and complete until there is nothing more; the names, in order."""
        done: list[str] = []
        while found := await self.lease(agent, most):
            for task in found:
                await self.service.complete(task.id, task.token, {"by": agent})
                done.append(task.name)
        return done

    def pass_time(self, seconds: float) -> None:
        """Let time go by, and do what is due then."""
        self.clock.advance(seconds)
        _, ready = self.service.transact(keep_time)
        if ready:
            self.service.note_ready()

    def events(self, type: str = "") -> list[Event]:
        """What was announced, in order."""
        with self.database.connect() as db:
            rows = db.execute(sa.select(events.c.data).order_by(events.c.id)).scalars().all()
        found = [msgspec.json.decode(line, type=dict) for row in rows for line in bytes(row).split(b"\n")]
        return [Event(**one) for one in found if one["type"].startswith(type)]

    def counts(self) -> Counter[str]:
        return Counter(event.type for event in self.events())

    def payloads(self, type: str) -> Sequence[dict[str, Any]]:
        return [dict(event.payload) for event in self.events(type)]
