"""What happens by time alone: leases and tries that end, retries and answers that are due, missions that are late."""

from __future__ import annotations

import sqlalchemy as sa

from brain.kit.leases import Leases
from brain.missions.events import MISSION_OVERDUE
from brain.missions.finishing import fail_task, free
from brain.missions.leases_lost import PRESENCE, expire, miss
from brain.missions.models import ENDED, OPEN, MissionStatus, TaskStatus
from brain.missions.stopping import escalate, stop
from brain.missions.tables import MISSIONS, TASKS
from brain.missions.transaction import MissionTransaction

AT_ONCE = 500
"""Tasks in one transaction."""
_NOT_ANNOUNCED = sa.and_(MISSIONS.c.status.in_(OPEN), MISSIONS.c.deadline.is_not(None), MISSIONS.c.overdue_at.is_(None))


def next_due(db: sa.Connection) -> float | None:
    """When time has something to decide next, in Unix seconds; None for never. Reads only."""
    tasks = sa.select(sa.func.min(TASKS.c.due_at)).where(TASKS.c.due_at.is_not(None))
    stopping = sa.select(sa.func.min(MISSIONS.c.stop_until)).where(MISSIONS.c.status == MissionStatus.STOPPING)
    late = sa.select(sa.func.min(MISSIONS.c.deadline)).where(_NOT_ANNOUNCED)
    found = [db.execute(query).scalar() for query in (tasks, stopping, late)]
    found.append(Leases(PRESENCE).next_end(db))
    return min((at for at in found if at is not None), default=None)


def keep_time(change: MissionTransaction) -> bool:
    """Do what is due now; whether there may be more."""
    due = sa.select(TASKS.c.id).where(TASKS.c.due_at <= change.now)
    ids = list(change.db.execute(due.order_by(TASKS.c.due_at).limit(AT_ONCE)).scalars())
    for id in ids:
        task = change.task(id)  # as it is now: what was due before may have ended it
        if task.due_at is None or task.due_at > change.now:
            continue
        if task.status == TaskStatus.RUNNING:
            expire(change, task)
        elif task.status == TaskStatus.RETRYING or task.approval is not None:
            free(change, task)
        elif task.status == TaskStatus.WAITING:
            fail_task(change, task, "nobody answered in time", retry=False)
    for id in change.db.execute(
        sa.select(MISSIONS.c.id).where(_NOT_ANNOUNCED, MISSIONS.c.deadline <= change.now)
    ).scalars():
        _announce_overdue(change, id)
    stopping = sa.and_(MISSIONS.c.status == MissionStatus.STOPPING, MISSIONS.c.stop_until <= change.now)
    for id in change.db.execute(sa.select(MISSIONS.c.id).where(stopping)).scalars().all():
        mission = change.mission(id)
        if mission.status is MissionStatus.STOPPING:
            escalate(change, mission)
    miss(change)
    return len(ids) == AT_ONCE


def prune(db: sa.Connection, before: float) -> int:
    """Delete missions that ended before this Unix time, at most so many at once; how many."""
    old = sa.and_(MISSIONS.c.status.in_(ENDED), MISSIONS.c.ended_at < before)
    ids = list(db.execute(sa.select(MISSIONS.c.id).where(old).limit(AT_ONCE)).scalars())
    if ids:
        db.execute(TASKS.delete().where(TASKS.c.mission.in_(ids)))
        db.execute(MISSIONS.delete().where(MISSIONS.c.id.in_(ids)))
    return len(ids)


def _announce_overdue(change: MissionTransaction, id: str) -> None:
    mission = change.mission(id)
    mission.overdue_at = change.now
    change.tell_of(MISSION_OVERDUE, mission, deadline=mission.deadline, open_tasks=mission.open_tasks)
    if mission.cancel_when_overdue and mission.status in (MissionStatus.RUNNING, MissionStatus.PAUSED):
        stop(change, mission, MissionStatus.CANCELLED, "it was not over at its deadline")
