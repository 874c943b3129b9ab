"""What agents say of the tasks that they hold: done, failed, given back, still at it.

Completions of many agents are done at once, in a few statements: that is what makes a group commit fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import msgspec
import sqlalchemy as sa

from brain.charter import HealthKind, HealthSeverity
from brain.charter.principal import whose
from brain.errors import BrainError, NotFound
from brain.kit.leases import LeaseLost
from brain.kit.outbox.table import without_nul
from brain.missions.bulk import BulkStatement, document
from brain.missions.creating import ask
from brain.missions.events import TASK_COMPLETED, TASK_FAILED, TASK_PROGRESS, TASK_RETRYING, TaskCompleted
from brain.missions.models import MissionStatus, TaskStatus
from brain.missions.stopping import cancel_tasks, give_up_undoing, settle, stop
from brain.missions.tables import AGENTS, TASKS, has_status
from brain.missions.transaction import Mission, MissionTransaction, Task, is_possible
from brain.redaction import redacted_text

PROGRESS_EVERY = 10.0
"""Seconds between two events that say how far one task is."""
_SPIKE_SECONDS = 60.0

_COMPLETE = BulkStatement(
    """
    UPDATE missions_tasks SET
        status = 'completed', result = {json:given.result}, ended_at = :now, due_at = NULL, lease_until = NULL
    FROM {given} AS given
    WHERE missions_tasks.id = given.task AND missions_tasks.token = given.lease AND status = 'running'
        AND (lease_until IS NULL OR lease_until > :now)
    RETURNING id, mission, name, type, agent, token, attempts, started_at, successors, undoes
    """,
    task="text",
    lease="bigint",
    result="text",
)
"""Completes the tasks whose leases are still those that are given."""
_GO_ON = BulkStatement(
    """
    UPDATE missions_tasks SET
        waiting_for = waiting_for - given.fewer,
        status = CASE WHEN status = 'pending' AND person IS NULL AND waiting_for <= given.fewer
            THEN 'ready' ELSE status END,
        ready_at = CASE WHEN status = 'pending' AND person IS NULL AND waiting_for <= given.fewer
            THEN :now ELSE ready_at END
    FROM {given} AS given WHERE missions_tasks.id = given.task
    RETURNING id, status, waiting_for
    """,
    task="text",
    fewer="integer",
)
"""Tasks wait for fewer others; those that wait for none any more are ready, or are left to be asked."""
_REFUSED = (TASKS.c.id, TASKS.c.status, TASKS.c.agent, TASKS.c.token, TASKS.c.lease_until)
"""What says why a completion is refused."""
_CREDIT = AGENTS.update().where(AGENTS.c.id == sa.bindparam("which"))
_CREDIT = _CREDIT.values(completed=AGENTS.c.completed + sa.bindparam("more"), lost=0)


@dataclass(frozen=True, slots=True)
class Held:
    """What an agent says of a task that it holds under a token."""

    task: str
    token: int
    who: Mapping[str, Any] = field(default_factory=whose, kw_only=True, compare=False)
    """Of the meta of events: whose doing it is."""


@dataclass(frozen=True, slots=True)
class Completion(Held):
    """It is done."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class Failure(Held):
    """This try failed; `retry`: another may help."""

    error: str = ""
    retry: bool = True


@dataclass(frozen=True, slots=True)
class GivenBack(Held):
    """The agent does not go on, and has done nothing: also the acknowledgement that a mission stops."""


@dataclass(frozen=True, slots=True)
class Heartbeat(Held):
    """The agent goes on, and needs the lease for so many seconds more."""

    seconds: float
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent is answered: until when it holds the task, and whether it must stop."""

    lease_until: float | None = None
    stop: bool = False


def lease_fault(task: Task | None, held: Held, now: float) -> BrainError | None:
    """Why the agent does not hold the task any more; None while it does."""
    if task is None:
        return NotFound(f"task {held.task!r}: there is none")
    if task.status != TaskStatus.RUNNING:
        return LeaseLost(f"task {task.id} is {task.status}; lease {held.token} is over, so drop what you have of it")
    if task.token != held.token:
        return LeaseLost(
            f"task {task.id}: lease {held.token} is over, and {task.agent} has lease {task.token}; drop it"
        )
    if task.lease_until is not None and task.lease_until <= now:
        return LeaseLost(f"task {task.id}: lease {held.token} ran out; drop it, and send heartbeats in time")
    return None


def complete_all(change: MissionTransaction, given: Sequence[Completion]) -> list[BrainError | None]:
    """Complete these tasks; for each None, or why it is refused. A completion that is sent again is accepted."""
    first: dict[tuple[str, int], Completion] = {}
    for one in given:
        if is_possible(one.task) and abs(one.token) < 1 << 63:
            first.setdefault((one.task, one.token), one)
    change.hold(one.task.partition(".")[0] for one in given)
    rows = [[id, token, _written(one.result)] for (id, token), one in first.items()]
    completed = _COMPLETE.run(change.db, rows, now=change.now)
    if completed:
        places = {id: place for place, (id, _) in enumerate(first)}
        completed = sorted(completed, key=lambda task: places[task.id])
        _credit(change, completed)
        change.events.whose.update((task.id, first[task.id, task.token].who) for task in completed)
        after_completion(change, completed)
    done = {(task.id, task.token) for task in completed}
    left = [one.task for one in given if (one.task, one.token) not in done]
    tasks = change.tasks(left, _REFUSED) if left else {}
    return [None if (one.task, one.token) in done else _fault(tasks.get(one.task), one, change.now) for one in given]


def _written(result: Any) -> str | None:
    return None if result is None else msgspec.json.encode(result).decode()


def _fault(task: Task | None, one: Completion, now: float) -> BrainError | None:
    if task is not None and task.status == TaskStatus.COMPLETED and task.token == one.token:
        return None
    return lease_fault(task, one, now)


def after_completion(change: MissionTransaction, completed: Sequence[Task], by: str | None = None) -> None:
    """Announce these tasks as completed, and go on with what waited for them; `by`: the person who answered."""
    for task in completed:
        payload: TaskCompleted = {
            "mission_id": task.mission,
            "task_id": task.id,
            "type": task.type,
            "agent_id": by or task.agent,
            "attempt": task.attempts,
            "lease": task.token,
            "duration_ms": max(0.0, change.now - (task.started_at or change.now)) * 1000,
            "completed_at": change.now,
        }
        change.events.add_typed(TASK_COMPLETED, payload, task.id, change.correlation_id(task.mission))
    fewer = Counter(id for task in completed for id in document(task.successors))
    if fewer:
        _go_on(change, fewer)
    ended: dict[str, tuple[int, int]] = {}
    for task in completed:
        count, done = ended.get(task.mission, (0, 0))
        ended[task.mission] = (count + 1, done + (task.undoes is None))
    over = change.count_ended(ended)
    change.lock(over)
    for id in over:
        settle(change, change.mission(id))


def _go_on(change: MissionTransaction, fewer: Mapping[str, int]) -> None:
    rows = _GO_ON.run(change.db, [[id, count] for id, count in sorted(fewer.items())], now=change.now)
    change.ready = change.ready or any(row.status == TaskStatus.READY for row in rows)
    asking = [row.id for row in rows if row.status == TaskStatus.PENDING and row.waiting_for <= 0]
    for task in change.tasks(asking).values() if asking else ():
        ask(change, task)


def fail(change: MissionTransaction, failure: Failure) -> BrainError | None:
    """Try the task again later, or end it with its mission; None, or why it is refused."""
    task = change.tasks([failure.task]).get(failure.task)
    if (fault := lease_fault(task, failure, change.now)) is not None:
        return fault
    assert task is not None
    fail_task(change, task, without_nul(redacted_text(failure.error)), retry=failure.retry)
    return None


def fail_task(change: MissionTransaction, task: Task, error: str, *, retry: bool) -> None:
    """A try of the task failed."""
    mission = change.mission(task.mission)
    if mission.status is MissionStatus.STOPPING:
        cancel_tasks(change, mission, [task], acknowledged=True)
        settle(change, mission)
        return
    tries = task.attempts - task.losses
    again = retry and tries < task.max_attempts
    change.tell(
        TASK_FAILED,
        task,
        agent_id=task.agent,
        error=error,
        attempt=task.attempts,
        max_attempts=task.max_attempts,
        will_retry=again,
        failed_at=change.now,
    )
    if again:
        _try_later(change, task, error, tries)
    else:
        _end_failed(change, mission, task, error)


def _try_later(change: MissionTransaction, task: Task, error: str, tries: int) -> None:
    wait = min(change.settings.longest_retry, task.retry_seconds * 2.0 ** (max(1, tries) - 1))
    due_at = change.now + wait
    values = {"status": TaskStatus.RETRYING, "due_at": due_at, "lease_until": None, "agent": None, "error": error}
    change.update_tasks([task.id], **values)
    change.tell(TASK_RETRYING, task, attempt=task.attempts, next_attempt=due_at)


def _end_failed(change: MissionTransaction, mission: Mission, task: Task, error: str) -> None:
    values = {"status": TaskStatus.FAILED, "ended_at": change.now, "due_at": None, "lease_until": None, "error": error}
    change.update_tasks([task.id], **values)
    mission.open_tasks -= 1
    if task.agent is not None:
        change.db.execute(AGENTS.update().where(AGENTS.c.id == task.agent).values(failed=AGENTS.c.failed + 1))
    _alarm_failures(change, mission, task)
    if task.undoes is not None:
        give_up_undoing(change, mission, task, error)
    else:
        stop(change, mission, MissionStatus.FAILED, f"task {task.name} failed: {error}"[:1000])


def _alarm_failures(change: MissionTransaction, mission: Mission, task: Task) -> None:
    recent = sa.and_(has_status(TaskStatus.FAILED), TASKS.c.ended_at > change.now - _SPIKE_SECONDS)
    count = change.db.execute(sa.select(sa.func.count()).select_from(TASKS).where(recent)).scalar_one()
    if count >= change.settings.failures_alarm:
        change.report(
            HealthSeverity.WARNING,
            HealthKind.ERROR_SPIKE,
            f"{count} tasks failed within a minute, the last one of type {task.type}",
            f"spike {int(change.now // _SPIKE_SECONDS)}",
            {"failures": count, "mission_id": mission.id, "task_id": task.id},
        )


def give_back(change: MissionTransaction, given: GivenBack) -> BrainError | None:
    """Let others have the task, or end it when its mission stops; None, or why it is refused."""
    task = change.tasks([given.task]).get(given.task)
    if (fault := lease_fault(task, given, change.now)) is not None:
        return fault
    assert task is not None
    mission = change.mission(task.mission)
    if mission.status is MissionStatus.STOPPING:
        cancel_tasks(change, mission, [task], acknowledged=True)
        settle(change, mission)
    else:
        free(change, task, attempts=task.attempts - 1)
    return None


def free(change: MissionTransaction, task: Task, **more: Any) -> None:
    """Nobody has the task any more; it can be claimed again."""
    values = {"status": TaskStatus.READY, "agent": None, "lease_until": None, "due_at": None, "ready_at": change.now}
    change.update_tasks([task.id], **values, **more)
    change.ready = True


def beat(change: MissionTransaction, given: Heartbeat) -> Answer | BrainError:
    """Prolong the lease, not beyond the time that one try may take; or why it is refused."""
    task = change.tasks([given.task]).get(given.task)
    if (fault := lease_fault(task, given, change.now)) is not None:
        return fault
    assert task is not None
    until = min(change.now + given.seconds, task.attempt_until or inf)
    values: dict[str, Any] = {"lease_until": until, "due_at": until}
    if given.progress is not None:
        values["progress"] = given.progress
        if task.progress_at is None or change.now - task.progress_at >= PROGRESS_EVERY:
            values["progress_at"] = change.now
            change.tell(TASK_PROGRESS, task, agent_id=task.agent, progress=given.progress)
    change.update_tasks([task.id], **values)
    return Answer(until, change.mission(task.mission).status is MissionStatus.STOPPING)


def _credit(change: MissionTransaction, completed: Sequence[Task]) -> None:
    """Count what each agent has done; it has lost no lease since."""
    counts = Counter(task.agent for task in completed if task.agent is not None)
    change.db.execute(_CREDIT, [{"which": agent, "more": count} for agent, count in sorted(counts.items())])
