"""How a mission ends: completed, or stopped by a failure or by a person, with what was done undone in reverse order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from brain.charter import HealthKind, HealthSeverity
from brain.kit.sql import chunks
from brain.missions.events import (
    MISSION_CANCELLED,
    MISSION_COMPENSATED,
    MISSION_COMPLETED,
    MISSION_FAILED,
    TASK_CANCELLED,
    TASK_CREATED,
)
from brain.missions.models import UNDO, MissionStatus, TaskStatus
from brain.missions.tables import TASKS
from brain.missions.transaction import Mission, MissionTransaction, Task

_NOT_BEGUN = (TaskStatus.PENDING, TaskStatus.READY, TaskStatus.RETRYING, TaskStatus.WAITING)
_ENDINGS = {
    MissionStatus.COMPLETED: MISSION_COMPLETED,
    MissionStatus.FAILED: MISSION_FAILED,
    MissionStatus.CANCELLED: MISSION_CANCELLED,
}


def stop(change: MissionTransaction, mission: Mission, outcome: MissionStatus, reason: str) -> None:
    """Let no other task begin, ask the agents at work to stop, and end the mission when they have."""
    mission.status = MissionStatus.STOPPING
    mission.outcome, mission.reason = outcome.value, reason
    mission.stop_until = change.now + change.settings.cancel_seconds
    cancel_tasks(change, mission, _of(change, mission, _NOT_BEGUN), acknowledged=True)
    settle(change, mission)


def cancel_tasks(change: MissionTransaction, mission: Mission, tasks: Sequence[Task], *, acknowledged: bool) -> None:
    """End these tasks of the mission undone; `acknowledged`: nobody is doing them any more."""
    values = {"status": TaskStatus.CANCELLED, "ended_at": change.now, "due_at": None, "lease_until": None}
    change.update_tasks([task.id for task in tasks], **values)
    mission.open_tasks -= len(tasks)
    for task in tasks:
        agent = task.agent if task.status == TaskStatus.RUNNING else None
        change.tell(TASK_CANCELLED, task, agent_id=agent, acknowledged=acknowledged)
    if not acknowledged:
        mission.escalated = [*mission.escalated, *(task.name for task in tasks)]


def escalate(change: MissionTransaction, mission: Mission) -> None:
    """The time is over in which agents had to acknowledge: their leases end, and that is reported."""
    late = _of(change, mission, (TaskStatus.RUNNING,))
    cancel_tasks(change, mission, late, acknowledged=False)
    for task in late:
        change.report(
            HealthSeverity.CRITICAL,
            HealthKind.AGENT_FAILURE,
            f"agent {task.agent} did not stop task {task.id} within {change.settings.cancel_seconds:g} s",
            f"not-stopped {task.id} {task.token}",
            {"agent_id": task.agent, "task_id": task.id, "mission_id": mission.id},
        )
    settle(change, mission)


def settle(change: MissionTransaction, mission: Mission) -> None:
    """Move the mission on when all of its tasks have ended."""
    if mission.open_tasks:
        return
    match mission.status:
        case MissionStatus.RUNNING | MissionStatus.PAUSED:
            _end(change, mission, MissionStatus.COMPLETED)
        case MissionStatus.STOPPING:
            if not _begin_undoing(change, mission):
                _end(change, mission, _outcome(mission))
        case MissionStatus.COMPENSATING:
            mission.compensated = True
            undone = _of(change, mission, (TaskStatus.COMPLETED,), undoing=True)
            change.tell_of(MISSION_COMPENSATED, mission, undone=[task.undoes for task in undone])
            _end(change, mission, _outcome(mission))


def _outcome(mission: Mission) -> MissionStatus:
    return MissionStatus(mission.outcome or MissionStatus.CANCELLED)


def give_up_undoing(change: MissionTransaction, mission: Mission, task: Task, error: str) -> None:
    """A task that undoes another failed for good: the others are not undone either, and a person has to look."""
    mission.compensated = False
    mission.reason = f"{mission.reason}; {task.undoes} could not be undone: {error}"[:1000]
    cancel_tasks(change, mission, _of(change, mission, _NOT_BEGUN), acknowledged=True)
    change.report(
        HealthSeverity.CRITICAL,
        HealthKind.ERROR_SPIKE,
        f"mission {mission.id}: {task.undoes} could not be undone: {error}"[:1000],
        f"not-undone {task.id}",
        {"mission_id": mission.id, "task_id": task.id},
    )
    _end(change, mission, MissionStatus.FAILED)


def _end(change: MissionTransaction, mission: Mission, status: MissionStatus) -> None:
    mission.status, mission.ended_at, mission.stop_until = status, change.now, None
    change.tell_of(
        _ENDINGS[status],
        mission,
        reason=mission.reason,
        completed_tasks=mission.done_tasks,
        total_tasks=mission.tasks,
        escalated=mission.escalated,
        compensated=mission.compensated,
        ended_at=change.now,
        duration_seconds=max(0.0, change.now - mission.created_at),
    )


def _begin_undoing(change: MissionTransaction, mission: Mission) -> bool:
    """Make the tasks that undo what was done, or perhaps was: the last one first, each after the one before."""
    done = [
        task
        for task in _of(change, mission, (TaskStatus.COMPLETED, TaskStatus.CANCELLED))
        if task.undo is not None and (task.status == TaskStatus.COMPLETED or task.name in mission.escalated)
    ]
    if not done:
        return False
    done.sort(key=lambda task: (task.ended_at, task.position), reverse=True)
    ids = [f"{mission.id}.{UNDO}{task.name}" for task in done]
    rows = [_undoing(task, ids, place, change.now) for place, task in enumerate(done)]
    for some in chunks(rows):
        change.db.execute(sa.insert(TASKS), [*some])
    mission.status, mission.open_tasks, change.ready = MissionStatus.COMPENSATING, len(done), True
    for row in rows:
        about = {"mission_id": mission.id, "task_id": row["id"], "type": row["type"]}
        more = {"depends_on": row["depends_on"], "capabilities": row["requires"].split(), "undoes": row["undoes"]}
        change.events.add(TASK_CREATED, {**about, **more}, row["id"], mission.correlation_id)
    return True


def _undoing(task: Task, ids: Sequence[str], place: int, now: float) -> dict[str, Any]:
    """The row of the task that undoes this one."""
    first = place == 0
    return {
        **dict.fromkeys(("person", "undo", "agent", "lease_until", "attempt_until", "due_at", "approval")),
        **dict.fromkeys(("progress", "progress_at", "result", "error", "started_at", "ended_at")),
        **dict.fromkeys(("attempts", "losses", "token"), 0),
        **{name: getattr(task, name) for name in ("mission", "requires", "max_attempts", "retry_seconds", "rank")},
        "id": ids[place],
        "name": f"{UNDO}{task.name}",
        "position": 1_000_000 + place,  # after all others
        "type": task.undo["type"],
        "status": (TaskStatus.READY if first else TaskStatus.PENDING).value,
        "open": True,
        "input": {**task.undo["input"], "undo": {"task": task.name, "input": task.input, "result": task.result}},
        "depends_on": [] if first else [ids[place - 1].partition(".")[2]],
        "successors": ids[place + 1 : place + 2],
        "waiting_for": 0 if first else 1,
        "timeout_seconds": task.timeout_seconds,
        "undoes": task.name,
        "ready_at": now,
    }


def _of(
    change: MissionTransaction, mission: Mission, statuses: Sequence[TaskStatus], undoing: bool | None = None
) -> list[Task]:
    """The mission's tasks in these states; of those that undo others, or of the others, only where one is asked for."""
    undoing = mission.status is MissionStatus.COMPENSATING if undoing is None else undoing
    query = sa.select(TASKS).where(TASKS.c.mission == mission.id, TASKS.c.status.in_(statuses))
    query = query.where(TASKS.c.undoes.is_not(None) if undoing else TASKS.c.undoes.is_(None))
    return list(change.db.execute(query.order_by(TASKS.c.ended_at, TASKS.c.position)))
