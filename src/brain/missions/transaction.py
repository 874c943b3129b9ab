"""One change of missions: it holds their rows, collects events and reports, and writes all of it at its end.

Whoever changes a task locks its mission first, in the order of the ids: so no two changes wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from brain.charter import EventType, HealthKind, HealthSeverity
from brain.errors import NotFound
from brain.kit.outbox import put_health
from brain.kit.protocols import HealthReport
from brain.kit.sql import chunks
from brain.missions.announce import Announcements
from brain.missions.models import MissionStatus
from brain.missions.plugin import PLUGIN
from brain.missions.settings import MissionSettings
from brain.missions.tables import MISSIONS, TASKS

Task = sa.Row[Any]


@dataclass
class Mission:
    """What changes of a mission, and what its events show; written back at the end of the transaction."""

    id: str
    name: str
    status: MissionStatus
    priority: str
    context: dict[str, Any]
    correlation_id: str
    deadline: float | None
    cancel_when_overdue: bool
    by: str | None
    tasks: int
    open_tasks: int
    done_tasks: int
    outcome: str | None
    reason: str
    stop_until: float | None
    escalated: list[str]
    compensated: bool | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    overdue_at: float | None

    def about(self) -> dict[str, Any]:
        """What every event about it says."""
        return {"mission_id": self.id, "name": self.name}


_COLUMNS = [MISSIONS.c[field.name] for field in fields(Mission)]
_CHANGING = (
    *("status", "open_tasks", "done_tasks", "outcome", "reason", "stop_until", "escalated", "compensated"),
    *("started_at", "ended_at", "overdue_at"),
)
_values_of = attrgetter(*_CHANGING)
_WHICH = MISSIONS.update().where(MISSIONS.c.id == sa.bindparam("which"))
_SAVE = _WHICH.values({name: sa.bindparam(name) for name in _CHANGING})
_COUNTS = ("open_tasks", "done_tasks")
_SAVE_COUNTS = _WHICH.values({name: sa.bindparam(name) for name in _COUNTS})


class MissionTransaction:
    """A change inside of the transaction of `db`; `now` is its time in Unix seconds."""

    def __init__(self, db: sa.Connection, now: float, settings: MissionSettings) -> None:
        self.db = db
        self.now = now
        self.settings = settings
        self.ready: bool = False
        """Whether tasks can be claimed that could not before."""
        self.events: Announcements = Announcements(now)
        self._missions: dict[str, Mission] = {}
        self._before: dict[str, tuple[Any, ...]] = {}

    def lock(self, ids: Iterable[str]) -> Mapping[str, Mission]:
        """These missions, which nobody else changes until the end; all that were locked so far."""
        wanted = sorted({id for id in ids if id not in self._missions})
        for some in chunks(wanted):
            query = sa.select(*_COLUMNS).where(MISSIONS.c.id.in_(some)).order_by(MISSIONS.c.id).with_for_update()
            for row in self.db.execute(query).all():
                found = Mission(*row)
                found.status = MissionStatus(found.status)
                self._missions[found.id] = found
                self._before[found.id] = _values_of(found)
        return self._missions

    def mission(self, id: str) -> Mission:
        """The mission, locked. Raises NotFound."""
        found = self._missions.get(id) or self.lock([id]).get(id)
        if found is None:
            raise NotFound(f"mission {id!r}: there is none; `brain missions list` shows which there are")
        return found

    def tasks(self, ids: Iterable[str], columns: Sequence[sa.Column[Any]] = tuple(TASKS.c)) -> dict[str, Task]:
        """These tasks as they are now, or these columns of them, by id; their missions are locked."""
        wanted = sorted(set(ids))
        self.lock(id.partition(".")[0] for id in wanted)
        found: dict[str, Task] = {}
        for some in chunks(wanted):
            rows = self.db.execute(sa.select(*columns).where(TASKS.c.id.in_(some))).all()
            found |= {row.id: row for row in rows}
        return found

    def task(self, id: str) -> Task:
        """The task. Raises NotFound."""
        found = self.tasks([id]).get(id)
        if found is None:
            raise NotFound(f"task {id!r}: there is none; `brain missions show` shows those of a mission")
        return found

    def tell(self, declared: EventType[Any], task: Task, **more: Any) -> None:
        """Announce something about a task."""
        about = {"mission_id": task.mission, "task_id": task.id, "type": task.type}
        self.events.add(declared, {**about, **more}, task.id, self._missions[task.mission].correlation_id)

    def tell_of(self, declared: EventType[Any], mission: Mission, **more: Any) -> None:
        """Announce something about a mission."""
        self.events.add(declared, {**mission.about(), **more}, mission.id, mission.correlation_id)

    def report(
        self, severity: HealthSeverity, kind: HealthKind, message: str, key: str, details: Mapping[str, Any]
    ) -> None:
        """Report to the health of the fleet once this is written; once for each `key`."""
        report = HealthReport(severity, kind, PLUGIN.name, message, dict(details), details.get("mission_id"))
        put_health(self.db, PLUGIN.name, report, self.now, key=f"{PLUGIN.name} {key}")

    def finish(self) -> None:
        """Write the missions and the events."""
        counted, changed = [], []
        for mission in self._missions.values():
            before, now = self._before[mission.id], _values_of(mission)
            values = {"which": mission.id, **dict(zip(_CHANGING, now, strict=True))}
            if before == now:
                continue
            others = [name for name, old, new in zip(_CHANGING, before, now, strict=True) if old != new]
            if set(others) <= set(_COUNTS):
                counted.append({"which": mission.id, **{name: values[name] for name in _COUNTS}})
            else:
                changed.append({**values, "status": mission.status.value})
        if counted:
            self.db.execute(_SAVE_COUNTS, counted)
        if changed:
            self.db.execute(_SAVE, changed)
        self.events.put(self.db)

    def update_tasks(self, ids: Sequence[str], **values: Any) -> None:
        """Set these columns of these tasks."""
        for some in chunks(ids):
            self.db.execute(TASKS.update().where(TASKS.c.id.in_(some)).values(**values))
