"""Leases that end without the agent's word: run out, or taken from an agent that is contained or gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from brain.charter import HealthKind, HealthSeverity
from brain.kit.leases import Leases
from brain.missions.events import AGENT_OFFLINE, AGENT_ONLINE, TASK_LEASE_LOST
from brain.missions.finishing import fail_task, free
from brain.missions.models import MissionStatus, TaskStatus
from brain.missions.stopping import cancel_tasks, settle
from brain.missions.tables import AGENTS, TASKS, has_status
from brain.missions.transaction import MissionTransaction, Task

PRESENCE = "agent"
"""The kind of lease that says that an agent is there."""


def expire(change: MissionTransaction, task: Task) -> None:
    """The agent has let the lease run out, or the try took too long."""
    timeout = task.attempt_until is not None and task.attempt_until <= change.now
    _announce_loss(change, task, "timeout" if timeout else "expired")
    _count_loss(change, task)
    mission = change.mission(task.mission)
    if mission.status is MissionStatus.STOPPING:
        cancel_tasks(change, mission, [task], acknowledged=False)
        settle(change, mission)
    elif timeout:
        fail_task(change, task, f"took longer than {task.timeout_seconds:g} s", retry=True)
    elif task.losses + 1 >= change.settings.most_lost_leases:
        fail_task(change, task, f"its lease was lost {task.losses + 1} times, by {task.agent} at last", retry=False)
    else:
        free(change, task, losses=task.losses + 1)


def evict(change: MissionTransaction, tasks: Sequence[Task], reason: str) -> None:
    """Take these tasks from their agents at once; others can have them. It counts as no try."""
    for task in tasks:
        _announce_loss(change, task, reason)
        mission = change.mission(task.mission)
        if mission.status is MissionStatus.STOPPING:
            cancel_tasks(change, mission, [task], acknowledged=False)
            settle(change, mission)
        else:
            free(change, task, attempts=task.attempts - 1)


def running_of(db: sa.Connection, agents: Collection[str] | None, but: Collection[str] = ()) -> list[str]:
    """The ids of the tasks that these agents hold (None: all agents), those of `but` left out."""
    query = sa.select(TASKS.c.id).where(has_status(TaskStatus.RUNNING), TASKS.c.agent.not_in(sorted(but)))
    if agents is not None:
        query = query.where(TASKS.c.agent.in_(sorted(agents)))
    return list(db.execute(query).scalars())


def send_away(
    change: MissionTransaction, agents: Collection[str] | None, reason: str, but: Collection[str] = ()
) -> int:
    """End all leases of these agents (None: of all) but those of `but`; how many tasks go to others."""
    presence = Leases(PRESENCE, lambda: change.now)
    held = [lease.holder for lease in presence.held(change.db)] if agents is None else agents
    tasks = [
        task for task in change.tasks(running_of(change.db, agents, but)).values() if task.status == TaskStatus.RUNNING
    ]
    evict(change, tasks, reason)
    for agent in sorted(set(held) - set(but)):
        if presence.revoke(change.db, agent):
            leases = sum(task.agent == agent for task in tasks)
            change.events.add(AGENT_OFFLINE, {"agent_id": agent, "reason": reason, "leases": leases}, agent)
    return len(tasks)


def see(change: MissionTransaction, agent: str, capabilities: Collection[str]) -> None:
    """The agent is there, for `agent_seconds` from now."""
    presence = Leases(PRESENCE, lambda: change.now)
    was_there = presence.find(change.db, agent) is not None
    presence.acquire(change.db, agent, agent, change.settings.agent_seconds)
    known = AGENTS.update().where(AGENTS.c.id == agent)
    can = sorted(capabilities)
    if not change.db.execute(known.values(seen_at=change.now, capabilities=can)).rowcount:
        row = {"id": agent, "capabilities": can, "since": change.now, "seen_at": change.now}
        change.db.execute(AGENTS.insert().values(**row, lost=0, completed=0, failed=0))
    if not was_there:
        change.events.add(AGENT_ONLINE, {"agent_id": agent, "capabilities": can}, agent)


def miss(change: MissionTransaction) -> None:
    """Announce the agents that have been silent for too long."""
    for lease in Leases(PRESENCE, lambda: change.now).lapse(change.db):
        change.events.add(AGENT_OFFLINE, {"agent_id": lease.holder, "reason": "silent"}, lease.holder)


def _announce_loss(change: MissionTransaction, task: Task, reason: str) -> None:
    more = {"attempt": task.attempts, "lease": task.token, "reason": reason}
    change.tell(TASK_LEASE_LOST, task, agent_id=task.agent, **more)


def _count_loss(change: MissionTransaction, task: Task) -> None:
    """Some in a row, with nothing done between, and the agent is ill."""
    mine = AGENTS.c.id == task.agent
    more = AGENTS.update().where(mine).values(lost=AGENTS.c.lost + 1).returning(AGENTS.c.lost)
    lost = change.db.execute(more).scalar()
    if lost is None or lost < change.settings.lost_leases_alarm:
        return
    change.db.execute(AGENTS.update().where(mine).values(lost=0))
    change.report(
        HealthSeverity.CRITICAL,
        HealthKind.AGENT_FAILURE,
        f"agent {task.agent} lost {lost} leases in a row, that of task {task.id} at last",
        f"lost-leases {task.agent} {task.id} {task.token}",
        {"agent_id": task.agent, "leases": lost, "task_id": task.id},
    )
