"""Which tasks an agent may have, and the leases that it gets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from brain import limits
from brain.charter.principal import whose
from brain.missions.bulk import BulkStatement, document, not_among
from brain.missions.events import MISSION_WAITING, TASK_STARTED, TaskStarted
from brain.missions.models import TaskStatus
from brain.missions.tables import REQUIREMENTS, TASKS, has_status
from brain.missions.transaction import MissionTransaction

ASK_AGAIN = 60.0
"""Seconds after which policy is asked again about a task that waits for an approval: the answer may be missed."""

_TAKE = BulkStatement(
    """
    UPDATE missions_tasks SET
        status = 'running', token = token + 1, attempts = attempts + 1, agent = given.agent, started_at = :now,
        lease_until = {least}(:now + given.seconds, coalesce(:now + timeout_seconds, :now + given.seconds)),
        due_at = {least}(:now + given.seconds, coalesce(:now + timeout_seconds, :now + given.seconds)),
        attempt_until = :now + timeout_seconds,
        progress = NULL, progress_at = NULL, error = NULL, approval = NULL
    FROM {given} AS given WHERE missions_tasks.id = given.task AND status = 'ready' AND open
    RETURNING id, mission, name, type, token, attempts, lease_until, input
    """,
    task="text",
    agent="text",
    seconds="double precision",
)
"""Gives tasks that are free to agents, each under its next token."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an agent asks for: tasks of these types (empty: of any) that its capabilities are enough for."""

    agent: str
    capabilities: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    most: int = 1
    seconds: float = 30.0


class Candidate(msgspec.Struct, frozen=True):
    """A task that can be claimed, with what policy decides on; its input as `document` takes it."""

    id: str
    type: str
    mission: str
    name: str
    input: Any


@dataclass(frozen=True, slots=True)
class Claim:
    """An agent takes these tasks, those of them that are still free."""

    wanted: Wanted
    tasks: tuple[str, ...]
    who: Mapping[str, Any] = field(default_factory=whose, kw_only=True, compare=False)


class ClaimedTask(msgspec.Struct, frozen=True):
    """A task that an agent holds: what it has to do, and the token under which it says how that went."""

    id: str
    mission_id: str
    name: str
    type: str
    input: dict[str, Any]
    context: dict[str, Any]
    attempt: int
    token: int
    lease_until: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Policy asks a person whether the agent may have the task."""

    task: str
    agent: str
    approval: str
    question: str
    until: float | None
    who: Mapping[str, Any] = field(default_factory=whose, kw_only=True, compare=False)


def candidates(db: sa.Connection, wanted: Wanted, without: Collection[str], limit: int, now: float) -> list[Candidate]:
    """Tasks that the agent could have, the most urgent first. Reads only."""
    has = wanted.capabilities
    known = db.execute(sa.select(REQUIREMENTS.c.requires)).scalars()
    enough = [requires for requires in known if has.issuperset(requires.split())]
    reserved = sa.and_(TASKS.c.agent.is_not(None), TASKS.c.agent != wanted.agent, TASKS.c.lease_until > now)
    query = (
        sa.select(TASKS.c.id, TASKS.c.type, TASKS.c.mission, TASKS.c.name, sa.type_coerce(TASKS.c.input, sa.Text))
        .where(has_status(TaskStatus.READY), TASKS.c.open, TASKS.c.requires.in_(enough), ~reserved)
        .order_by(TASKS.c.rank, TASKS.c.ready_at, TASKS.c.id)
        .limit(limit)
    )
    if wanted.types:
        query = query.where(TASKS.c.type.in_(sorted(wanted.types)))
    if without:
        query = query.where(not_among(db, without))
    return [Candidate(*row) for row in db.execute(query).all()]


def take_all(change: MissionTransaction, claims: Sequence[Claim]) -> list[list[ClaimedTask]]:
    """Give each claim those of its tasks that are free; the first one gets what several want."""
    wanted: dict[str, int] = {}
    for place, claim in enumerate(claims):
        for id in claim.tasks[: claim.wanted.most]:
            wanted.setdefault(id, place)
    change.hold(id.partition(".")[0] for id in wanted)
    rows = [[id, claims[place].wanted.agent, claims[place].wanted.seconds] for id, place in wanted.items()]
    taken = {row.id: row for row in _TAKE.run(change.db, rows, now=change.now)}
    given: list[list[ClaimedTask]] = [[] for _ in claims]
    for id, place in wanted.items():
        task = taken.get(id)
        if task is None:
            continue
        started: TaskStarted = {
            "mission_id": task.mission,
            "task_id": id,
            "type": task.type,
            "agent_id": claims[place].wanted.agent,
            "attempt": task.attempts,
            "lease": task.token,
            "started_at": change.now,
        }
        change.events.whose[id] = claims[place].who
        change.events.add_typed(TASK_STARTED, started, id, change.correlation_id(task.mission))
        about = (id, task.mission, task.name, task.type, document(task.input), change.context(task.mission))
        given[place].append(ClaimedTask(*about, task.attempts, task.token, task.lease_until))
    return given


def hold(change: MissionTransaction, held: Hold) -> None:
    """Let the task wait for the person whom policy asks; nobody gets it meanwhile."""
    task = change.tasks([held.task]).get(held.task)
    if task is None or task.status != TaskStatus.READY:
        return
    values = {"agent": held.agent, "approval": held.approval, "due_at": change.now + ASK_AGAIN}
    change.update_tasks([task.id], status=TaskStatus.WAITING, **values)
    if task.approval == held.approval:
        return
    change.tell_of(
        MISSION_WAITING,
        change.mission(task.mission),
        task_id=task.id,
        approval_id=held.approval,
        question=held.question[: limits.REASON],
        until=held.until,
    )
