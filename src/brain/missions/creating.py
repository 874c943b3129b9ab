"""Missions made and started."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from brain import limits
from brain.errors import Conflict
from brain.kit.idempotency import other_content
from brain.kit.sql import chunks, insert_missing
from brain.missions.events import MISSION_CREATED, MISSION_STARTED, MISSION_WAITING, TASK_CREATED
from brain.missions.models import PRIORITIES, MissionStatus, NewMission, NewTask, TaskStatus, in_order, requirement
from brain.missions.tables import MISSIONS, REQUIREMENTS, TASKS
from brain.missions.transaction import Mission, MissionTransaction, Task


def create(change: MissionTransaction, id: str, new: NewMission, content: str) -> None:
    """Make the mission of that id, unless it is there. Raises Conflict when that one has other content."""
    made = change.db.execute(sa.select(MISSIONS.c.content).where(MISSIONS.c.id == id)).scalar()
    if made is not None:
        if made != content:
            raise other_content(f"mission {id}")
        return
    tasks = in_order(new.tasks)
    values = new.model_dump(exclude={"tasks", "start", "correlation_id"})
    change.db.execute(
        sa.insert(MISSIONS).values(
            **values,
            id=id,
            status=MissionStatus.READY.value,
            correlation_id=new.correlation_id or id,
            content=content,
            tasks=len(tasks),
            open_tasks=len(tasks),
            done_tasks=0,
            reason="",
            escalated=[],
            created_at=change.now,
        )
    )
    mission = change.mission(id)
    given = {"priority": new.priority, "total_tasks": len(tasks), "deadline": new.deadline, "by": new.by}
    change.tell_of(MISSION_CREATED, mission, **given)
    _add_tasks(change, mission, tasks)


def _add_tasks(change: MissionTransaction, mission: Mission, tasks: list[NewTask]) -> None:
    successors: dict[str, list[str]] = {task.id: [] for task in tasks}
    for task in tasks:
        for name in dict.fromkeys(task.depends_on):
            successors[name].append(f"{mission.id}.{task.id}")
    rows = [_row(mission, task, successors[task.id], place, change.now) for place, task in enumerate(tasks)]
    for some in chunks(rows):
        change.db.execute(sa.insert(TASKS), [*some])
    insert_missing(change.db, REQUIREMENTS, [{"requires": each} for each in sorted({row["requires"] for row in rows})])
    for row in rows:
        about = {"mission_id": mission.id, "task_id": row["id"], "type": row["type"]}
        more = {"depends_on": row["depends_on"], "capabilities": row["requires"].split(), "undoes": None}
        change.events.add(TASK_CREATED, {**about, **more}, row["id"], mission.correlation_id)


def _row(mission: Mission, task: NewTask, successors: list[str], place: int, now: float) -> dict[str, Any]:
    given = task.model_dump(exclude={"id", "capabilities"})
    given["depends_on"] = list(dict.fromkeys(task.depends_on))
    return {
        **given,
        "id": f"{mission.id}.{task.id}",
        "mission": mission.id,
        "name": task.id,
        "position": place,
        "status": TaskStatus.PENDING.value,
        "open": False,
        "rank": -PRIORITIES[mission.priority],
        "requires": requirement(task.capabilities),
        "successors": successors,
        "waiting_for": len(given["depends_on"]),
        "attempts": 0,
        "losses": 0,
        "token": 0,
        "ready_at": now,
    }


def start(change: MissionTransaction, mission: Mission) -> None:
    """Let the mission's tasks begin. Raises Conflict unless it is ready; what has begun already stays as it is."""
    if mission.status is MissionStatus.RUNNING:
        return
    if mission.status is not MissionStatus.READY:
        raise Conflict(f"mission {mission.id} is {mission.status}; only one that is ready can be started")
    mission.status, mission.started_at = MissionStatus.RUNNING, change.now
    change.db.execute(TASKS.update().where(TASKS.c.mission == mission.id).values(open=True))
    change.tell_of(MISSION_STARTED, mission, total_tasks=mission.tasks, started_at=change.now)
    make_ready(change, TASKS.c.mission == mission.id)


def make_ready(change: MissionTransaction, which: sa.ColumnElement[bool]) -> None:
    """Of these tasks, let those begin that wait for no other any more; their missions are locked."""
    waiting = sa.and_(which, TASKS.c.status == TaskStatus.PENDING, TASKS.c.waiting_for <= 0)
    for task in change.db.execute(sa.select(TASKS).where(waiting, TASKS.c.person.is_not(None))).all():
        ask(change, task)
    values = {"status": TaskStatus.READY.value, "ready_at": change.now}
    ready = change.db.execute(TASKS.update().where(waiting, TASKS.c.person.is_(None)).values(values))
    change.ready = change.ready or ready.rowcount > 0


def ask(change: MissionTransaction, task: Task) -> None:
    """Ask the task's question to a person."""
    until = change.now + (task.timeout_seconds or change.settings.answer_seconds)
    change.update_tasks([task.id], status=TaskStatus.WAITING, due_at=until)
    mission = change.mission(task.mission)
    asked = {"task_id": task.id, "approval_id": task.id, "question": task.person[: limits.REASON], "until": until}
    change.tell_of(MISSION_WAITING, mission, **asked)
