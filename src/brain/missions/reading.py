"""Missions, tasks and agents as they are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from brain.errors import NotFound
from brain.kit.database import reachable, reading
from brain.kit.database_threads import for_reading
from brain.kit.leases import Leases
from brain.missions.leases_lost import PRESENCE
from brain.missions.models import TaskStatus
from brain.missions.tables import AGENTS, MISSIONS, TASKS, has_status

Document = dict[str, Any]
A = ParamSpec("A")
T = TypeVar("T")

_TASK_FIELDS = (
    *("id", "name", "type", "status", "depends_on", "input", "attempts", "max_attempts", "agent", "token"),
    *("lease_until", "due_at", "progress", "result", "error", "person", "approval", "undoes", "started_at", "ended_at"),
)
_MISSION_FIELDS = (
    *("id", "name", "description", "status", "priority", "deadline", "tags", "context", "correlation_id", "by"),
    *("reason", "outcome", "stop_until", "escalated", "compensated", "created_at", "started_at", "ended_at"),
)


async def read(
    database: sa.Engine, query: Callable[Concatenate[sa.Connection, A], T], *args: A.args, **options: A.kwargs
) -> T:
    """What the query gives, in a reading transaction. Raises what it raises, and Unavailable."""

    def blocking() -> T:
        with reachable(database), reading(database).begin() as db:
            return query(db, *args, **options)

    return await for_reading(database, blocking)


def mission_documents(db: sa.Connection, statuses: Sequence[str], limit: int) -> list[Document]:
    """Missions without their tasks, the latest first."""
    query = sa.select(MISSIONS).order_by(MISSIONS.c.created_at.desc(), MISSIONS.c.id).limit(limit)
    if statuses:
        query = query.where(MISSIONS.c.status.in_(statuses))
    return [_mission(row) for row in db.execute(query)]


def mission_document(db: sa.Connection, id: str) -> Document:
    """A mission with its tasks, each after those that it depends on. Raises NotFound."""
    row = db.execute(sa.select(MISSIONS).where(MISSIONS.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"mission {id!r}: there is none; `brain missions list` shows which there are")
    tasks = db.execute(sa.select(TASKS).where(TASKS.c.mission == id).order_by(TASKS.c.position))
    return {**_mission(row), "tasks": [_task(task) for task in tasks]}


def task_document(db: sa.Connection, id: str) -> Document:
    """A task. Raises NotFound."""
    row = db.execute(sa.select(TASKS).where(TASKS.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"task {id!r}: there is none; `brain missions show` shows those of a mission")
    return _task(row)


def graph(db: sa.Connection, id: str) -> Document:
    """The nodes and edges of a mission. Raises NotFound."""
    found = mission_document(db, id)
    nodes = [{name: task[name] for name in ("name", "type", "status", "agent", "undoes")} for task in found["tasks"]]
    edges = [{"from": before, "to": task["name"]} for task in found["tasks"] for before in task["depends_on"]]
    return {"id": id, "name": found["name"], "status": found["status"], "nodes": nodes, "edges": edges}


def stats(db: sa.Connection, now: float) -> Document:
    """Counts by status."""
    missions = _counts(db, MISSIONS.c.status)
    return {"missions": missions, "tasks": _counts_of_tasks(db), "agents": _counts_of_agents(db, now)}


def _counts_of_tasks(db: sa.Connection) -> dict[str, int]:
    """Without a look at those that have ended, which are most."""
    sums = sa.select(*(sa.func.coalesce(sa.func.sum(MISSIONS.c[name]), 0) for name in ("open_tasks", "done_tasks")))
    still, done = db.execute(sums).one()
    timed = sa.select(TASKS.c.status, sa.func.count()).where(TASKS.c.due_at.is_not(None)).group_by(TASKS.c.status)
    counts = _pairs(db, timed)
    for status in (TaskStatus.READY, TaskStatus.FAILED):
        number = db.execute(sa.select(sa.func.count()).select_from(TASKS).where(has_status(status))).scalar_one()
        counts[status.value] = number
    ready_or_timed = sum(count for status, count in counts.items() if status != TaskStatus.FAILED)
    counts |= {TaskStatus.PENDING.value: still - ready_or_timed, TaskStatus.COMPLETED.value: done}
    return {status: count for status, count in counts.items() if count}


def agent_documents(db: sa.Connection, now: float) -> list[Document]:
    """The agents, by name."""
    online = {lease.holder for lease in Leases(PRESENCE, lambda: now).held(db)}
    running = sa.select(TASKS.c.agent, sa.func.count()).where(has_status(TaskStatus.RUNNING))
    holds = _pairs(db, running.group_by(TASKS.c.agent))
    found = []
    for row in db.execute(sa.select(AGENTS).order_by(AGENTS.c.id)):
        known = {name: getattr(row, name) for name in ("id", "capabilities", "since", "seen_at", "completed", "failed")}
        found.append({**known, "online": row.id in online, "running": holds.get(row.id, 0), "lost_leases": row.lost})
    return found


def _counts(db: sa.Connection, status: sa.Column[str]) -> dict[str, int]:
    return _pairs(db, sa.select(status, sa.func.count()).group_by(status))


def _pairs(db: sa.Connection, query: sa.Select[str, int]) -> dict[str, int]:
    return {row[0]: row[1] for row in db.execute(query)}


def _counts_of_agents(db: sa.Connection, now: float) -> dict[str, int]:
    online = len(Leases(PRESENCE, lambda: now).held(db))
    known = db.execute(sa.select(sa.func.count()).select_from(AGENTS)).scalar_one()
    return {"online": online, "offline": max(0, known - online)}


def _mission(row: sa.Row[Any]) -> Document:
    found = {name: getattr(row, name) for name in _MISSION_FIELDS}
    found |= {"total_tasks": row.tasks, "completed_tasks": row.done_tasks, "overdue": row.overdue_at is not None}
    found["progress"] = row.done_tasks / row.tasks
    return found


def _task(row: sa.Row[Any]) -> Document:
    return {**{name: getattr(row, name) for name in _TASK_FIELDS}, "capabilities": row.requires.split()}
