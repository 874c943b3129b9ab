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
from brain.missions.bulk import BulkStatement, document
from brain.missions.models import MissionStatus
from brain.missions.plugin import PLUGIN
from brain.missions.settings import MissionSettings
from brain.missions.tables import MISSIONS, TASKS

Task = sa.Row[Any]


@dataclass(slots=True)
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


_LOCK = BulkStatement(
    f"SELECT {', '.join(field.name for field in fields(Mission))} FROM missions_missions "
    "WHERE id IN (SELECT id FROM {given} AS given) {for_update}",
    id="text",
)
_CHANGING = (
    *("status", "open_tasks", "done_tasks", "outcome", "reason", "stop_until", "escalated", "compensated"),
    *("started_at", "ended_at", "overdue_at"),
)
_values_of = attrgetter(*_CHANGING)
_WHICH = MISSIONS.update().where(MISSIONS.c.id == sa.bindparam("which"))
_SAVE = _WHICH.values({name: sa.bindparam(name) for name in _CHANGING})
_HOLD = BulkStatement(
    "SELECT id, correlation_id, context FROM missions_missions "
    "WHERE id IN (SELECT id FROM {given} AS given) {for_update}",
    id="text",
)
_COUNT = BulkStatement(
    "UPDATE missions_missions SET open_tasks = open_tasks - given.ended, done_tasks = done_tasks + given.done "
    "FROM {given} AS given WHERE missions_missions.id = given.mission RETURNING id, open_tasks",
    mission="text",
    ended="integer",
    done="integer",
)


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
        self._held: dict[str, tuple[str, Any]] = {}
        self._before: dict[str, tuple[Any, ...]] = {}

    def lock(self, ids: Iterable[str]) -> Mapping[str, Mission]:
        """These missions, which nobody else changes until the end; all that were locked so far."""
        wanted = [[id] for id in sorted({id for id in ids if id not in self._missions and is_possible(id)})]
        for row in _LOCK.run(self.db, wanted) if wanted else ():
            found = Mission(*row)
            found.status = MissionStatus(found.status)
            found.context, found.escalated = document(found.context), document(found.escalated)
            found.cancel_when_overdue = bool(found.cancel_when_overdue)
            found.compensated = None if found.compensated is None else bool(found.compensated)
            self._missions[found.id] = found
            self._before[found.id] = _values_of(found)
        return self._missions

    def hold(self, ids: Iterable[str]) -> None:
        """Lock these missions as `lock` does, for who needs nothing but their contexts and what events say of them."""
        new = {id for id in ids if id not in self._missions and id not in self._held and is_possible(id)}
        wanted = [[id] for id in sorted(new)]
        for row in _HOLD.run(self.db, wanted) if wanted else ():
            self._held[row[0]] = (row[1], row[2])

    def context(self, id: str) -> Any:
        """The context of a mission that is locked."""
        known = self._missions.get(id)
        return document(self._held[id][1]) if known is None else known.context

    def correlation_id(self, id: str) -> str:
        """That of the events of a mission that is locked."""
        known = self._missions.get(id)
        return self._held[id][0] if known is None else known.correlation_id

    def count_ended(self, ended: Mapping[str, tuple[int, int]]) -> list[str]:
        """So many tasks of locked missions have ended, and so many of these are done; who has no open one now."""
        rows = [[id, *counts] for id, counts in sorted(ended.items()) if id not in self._missions]
        found = {row.id: row.open_tasks for row in _COUNT.run(self.db, rows)} if rows else {}
        for id, (count, done) in ended.items():
            if (known := self._missions.get(id)) is not None:
                known.open_tasks -= count
                known.done_tasks += done
                found[id] = known.open_tasks
        return [id for id in ended if not found[id]]

    def mission(self, id: str) -> Mission:
        """The mission, locked. Raises NotFound."""
        found = self._missions.get(id) or self.lock([id]).get(id)
        if found is None:
            raise NotFound(f"mission {id!r}: there is none; `brain missions list` shows which there are")
        return found

    def tasks(self, ids: Iterable[str], columns: Sequence[sa.Column[Any]] = tuple(TASKS.c)) -> dict[str, Task]:
        """These tasks as they are now, or these columns of them, by id; their missions are locked."""
        wanted = sorted({id for id in ids if is_possible(id)})
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
        self.events.add(declared, {**about, **more}, task.id, self.correlation_id(task.mission))

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
        changed = []
        for mission in self._missions.values():
            before, now = self._before[mission.id], _values_of(mission)
            if before != now:
                values = dict(zip(_CHANGING, now, strict=True))
                changed.append({**values, "which": mission.id, "status": mission.status.value})
        if changed:
            self.db.execute(_SAVE, changed)
        self.events.put(self.db)

    def update_tasks(self, ids: Sequence[str], **values: Any) -> None:
        """Set these columns of these tasks."""
        for some in chunks(ids):
            self.db.execute(TASKS.update().where(TASKS.c.id.in_(some)).values(**values))


def is_possible(id: str) -> bool:
    """Whether there can be a row of this id: the databases take no NUL, and one such id must not fail a whole group."""
    return "\0" not in id
