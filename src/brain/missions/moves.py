"""What people do to missions: pause, resume, cancel, try again, answer."""

from __future__ import annotations

import sqlalchemy as sa

from brain.errors import Conflict
from brain.missions.creating import make_ready
from brain.missions.events import MISSION_PAUSED, MISSION_RESUMED
from brain.missions.finishing import after_completion, fail_task
from brain.missions.models import ENDED, MissionStatus, TaskStatus
from brain.missions.stopping import stop
from brain.missions.tables import TASKS
from brain.missions.transaction import Mission, MissionTransaction, Task


def pause(change: MissionTransaction, mission: Mission, reason: str, by: str | None) -> None:
    """Let no other task begin. Raises Conflict unless it is running; a paused one stays as it is."""
    if mission.status is MissionStatus.PAUSED:
        return
    _check(mission, MissionStatus.RUNNING, "paused")
    mission.status = MissionStatus.PAUSED
    change.db.execute(TASKS.update().where(TASKS.c.mission == mission.id).values(open=False))
    change.tell_of(MISSION_PAUSED, mission, reason=reason, by=by, at=change.now)


def resume(change: MissionTransaction, mission: Mission, reason: str, by: str | None) -> None:
    """Go on with a paused mission. Raises Conflict for one that is neither paused nor running."""
    if mission.status is MissionStatus.RUNNING:
        return
    _check(mission, MissionStatus.PAUSED, "resumed")
    _go_on(change, mission, reason, by)


def cancel(change: MissionTransaction, mission: Mission, reason: str, by: str | None) -> None:
    """Stop the mission. Raises Conflict for one that has ended otherwise; one that stops already goes on stopping."""
    if mission.status is MissionStatus.CANCELLED or mission.status in (
        MissionStatus.STOPPING,
        MissionStatus.COMPENSATING,
    ):
        return
    if mission.status in ENDED:
        raise Conflict(f"mission {mission.id} is {mission.status}; it cannot be cancelled any more")
    words = reason or "cancelled"
    stop(change, mission, MissionStatus.CANCELLED, f"{words} (by {by})" if by else words)


def retry(change: MissionTransaction, mission: Mission, by: str | None) -> None:
    """Try a failed mission again from where it failed. Raises Conflict for another, and for one that was undone."""
    _check(mission, MissionStatus.FAILED, "tried again")
    if mission.compensated is not None:
        raise Conflict(f"mission {mission.id} was undone, wholly or in part; make a new mission")
    tasks = change.db.execute(sa.select(TASKS).where(TASKS.c.mission == mission.id)).all()
    done = {task.name for task in tasks if task.status == TaskStatus.COMPLETED}
    again = [task for task in tasks if task.name not in done]
    values = {"status": TaskStatus.PENDING, "attempts": 0, "losses": 0, "agent": None, "error": None, "ended_at": None}
    for task in again:
        waiting_for = len(set(task.depends_on) - done)
        change.update_tasks([task.id], **values, waiting_for=waiting_for, approval=None, due_at=None, started_at=None)
    mission.open_tasks, mission.outcome, mission.reason, mission.escalated = len(again), None, "", []
    mission.ended_at = None
    _go_on(change, mission, "tried again", by)


def answer(change: MissionTransaction, task: Task, yes: bool, note: str, by: str) -> None:
    """A person's answer to the task's question. Raises Conflict for a task that asks none, or not now."""
    if task.person is None:
        raise Conflict(f"task {task.id} asks nobody" + (f"; answer approval {task.approval}" if task.approval else ""))
    if task.status != TaskStatus.WAITING:
        raise Conflict(f"task {task.id} is {task.status}; it waits for no answer")
    if not yes:
        fail_task(change, task, f"{by} said no" + (f": {note}" if note else ""), retry=False)
        return
    result = {"approved": True, "by": by, "note": note}
    values = {"status": TaskStatus.COMPLETED, "result": result, "ended_at": change.now, "due_at": None}
    change.update_tasks([task.id], **values)
    after_completion(change, [task], by)


def approve(change: MissionTransaction, task: Task, yes: bool, why: str) -> None:
    """The answer to the approval that policy asked for. The agent that had asked has the task to itself for a while."""
    if task.status != TaskStatus.WAITING:
        return
    if not yes:
        fail_task(change, task, why, retry=False)
        return
    until = change.now + change.settings.agent_seconds
    values = {"status": TaskStatus.READY, "approval": None, "lease_until": until, "ready_at": change.now}
    change.update_tasks([task.id], **values)
    change.ready = True


def _go_on(change: MissionTransaction, mission: Mission, reason: str, by: str | None) -> None:
    mission.status = MissionStatus.RUNNING
    change.db.execute(TASKS.update().where(TASKS.c.mission == mission.id).values(open=True))
    change.tell_of(MISSION_RESUMED, mission, reason=reason, by=by, at=change.now)
    change.ready = True
    make_ready(change, TASKS.c.mission == mission.id)


def _check(mission: Mission, wanted: MissionStatus, doing: str) -> None:
    if mission.status is not wanted:
        raise Conflict(f"mission {mission.id} is {mission.status}; only one that is {wanted} can be {doing}")
