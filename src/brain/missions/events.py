"""The events of missions, their tasks and the agents that do them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict, TypeVar

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

P = TypeVar("P")

Moment = Annotated[float, Meta(description="When it happened, in Unix seconds.")]
MissionId = Annotated[str, Meta(description="The mission's id, `mis_<16 hex digits>`.")]
TaskId = Annotated[str, Meta(description="The task's id, `<mission>.<name>`.")]
AgentName = Annotated[str, Meta(description="The agent.")]
Lease = Annotated[int, Meta(ge=0, description="The fencing token of the lease.")]
Attempt = Annotated[int, Meta(ge=0, description="Which try it was, from 1.")]
Duration = Annotated[float, Meta(ge=0, description="Milliseconds from the start of the try.")]
Reason = Annotated[str, Meta(description="The reason in words; empty when none was given.")]
By = Annotated[str | None, Meta(description="Who did it; null: nobody was named, or time did.")]


class AboutTask(TypedDict):
    """The keys that every event about a task has."""

    mission_id: MissionId
    task_id: TaskId
    type: Annotated[str, Meta(description="The task's type.")]


class TaskCreated(AboutTask):
    """A task of a new mission, or one that undoes another."""

    depends_on: Annotated[list[str], Meta(description="The names of the tasks that must be completed before.")]
    capabilities: Annotated[list[str], Meta(description="What the agent must be able to do.")]
    undoes: Annotated[str | None, Meta(description="The name of the task that it undoes; null for none.")]


class TaskStarted(AboutTask):
    """An agent has the lease of a task."""

    agent_id: AgentName
    attempt: Attempt
    lease: Lease
    started_at: Moment


class TaskProgress(AboutTask):
    """How far a task is."""

    agent_id: AgentName
    progress: Annotated[float, Meta(ge=0, le=1, description="0 to 1.")]


class TaskCompleted(AboutTask):
    """A task is done."""

    agent_id: Annotated[str | None, Meta(description="The agent, or the person who answered.")]
    attempt: Attempt
    lease: Lease
    duration_ms: Duration
    completed_at: Moment


class TaskFailed(AboutTask):
    """A try of a task failed."""

    agent_id: Annotated[str | None, Meta(description="The agent; null when it never began.")]
    error: Annotated[str, Meta(description="What went wrong.")]
    attempt: Attempt
    max_attempts: Annotated[int, Meta(ge=1, description="Tries until it has failed for good.")]
    will_retry: Annotated[bool, Meta(description="Whether it is tried again.")]
    failed_at: Moment


class TaskRetrying(AboutTask):
    """When a task is tried again."""

    attempt: Attempt
    next_attempt: Annotated[float, Meta(description="When, in Unix seconds.")]


class TaskCancelled(AboutTask):
    """A task will not be done."""

    agent_id: Annotated[str | None, Meta(description="The agent that was doing it; null for none.")]
    acknowledged: Annotated[bool, Meta(description="Whether nobody was doing it, or its agent has stopped.")]


class TaskLeaseLost(AboutTask):
    """An agent lost the lease of a task, which goes to another."""

    agent_id: AgentName
    attempt: Attempt
    lease: Lease
    reason: Annotated[str, Meta(description="expired, timeout, contained, kill_switch or unregistered.")]


class AboutMission(TypedDict):
    """The keys that every event about a mission has."""

    mission_id: MissionId
    name: Annotated[str, Meta(description="The mission's name.")]


class MissionCreated(AboutMission):
    """A new mission."""

    priority: Annotated[str, Meta(description="low, normal, high or urgent.")]
    total_tasks: Annotated[int, Meta(ge=1, description="How many tasks it has.")]
    deadline: Annotated[float | None, Meta(description="Until when it should be over, in Unix seconds.")]
    by: By


class MissionStarted(AboutMission):
    """A mission began."""

    total_tasks: Annotated[int, Meta(ge=1, description="How many tasks it has.")]
    started_at: Moment


class MissionMoved(AboutMission):
    """A mission was paused, or goes on."""

    reason: Reason
    by: By
    at: Moment


class MissionEnded(AboutMission):
    """A mission is over."""

    reason: Reason
    completed_tasks: Annotated[int, Meta(ge=0, description="How many of its tasks were completed.")]
    total_tasks: Annotated[int, Meta(ge=1, description="How many it has.")]
    escalated: Annotated[list[str], Meta(description="Tasks whose agents did not acknowledge in time that it stops.")]
    compensated: Annotated[bool | None, Meta(description="Whether what was done is undone; null: nothing was to be.")]
    ended_at: Moment
    duration_seconds: Annotated[float, Meta(ge=0, description="Seconds since it was made.")]


class MissionOverdue(AboutMission):
    """A mission that is not over at its deadline."""

    deadline: Annotated[float, Meta(description="When it should have been over, in Unix seconds.")]
    open_tasks: Annotated[int, Meta(ge=0, description="Tasks that are not over.")]


class MissionWaiting(AboutMission):
    """A task waits for a person."""

    task_id: TaskId
    approval_id: Annotated[str, Meta(description="The approval that policy asks for, or the task's id: answer that.")]
    question: Annotated[str, Meta(description="What the person is asked.")]
    until: Annotated[float | None, Meta(description="When no answer counts as a refusal, in Unix seconds.")]


class MissionCompensated(AboutMission):
    """What a mission had done is undone."""

    undone: Annotated[list[str], Meta(description="The names of the tasks, in the order in which they were undone.")]


class AgentOnline(TypedDict):
    """An agent is there."""

    agent_id: AgentName
    capabilities: Annotated[list[str], Meta(description="What it can do.")]


class AgentOffline(TypedDict):
    """An agent is gone."""

    agent_id: AgentName
    reason: Annotated[str, Meta(description="silent, unregistered, contained or kill_switch.")]
    leases: NotRequired[Annotated[int, Meta(ge=0, description="Tasks of it that went to others.")]]


_TASK: AboutTask = {"mission_id": "mis_4be0c1f2a9d35768", "task_id": "mis_4be0c1f2a9d35768.charge", "type": "charge"}
_MISSION: AboutMission = {"mission_id": "mis_4be0c1f2a9d35768", "name": "order 4711"}
_AT = 1703001234.5


def _task(name: str, payload: type[P], priority: Priority, purpose: str, more: Mapping[str, object]) -> EventType[P]:
    return EventType(f"task.{name}", "missions", payload, priority, Frequency.HIGH, purpose, {**_TASK, **more})


def _mission(name: str, payload: type[P], priority: Priority, purpose: str, more: Mapping[str, object]) -> EventType[P]:
    return EventType(f"mission.{name}", "missions", payload, priority, Frequency.MEDIUM, purpose, {**_MISSION, **more})


TASK_CREATED = _task(
    "created",
    TaskCreated,
    Priority.MEDIUM,
    "A task was made.",
    {"depends_on": ["reserve"], "capabilities": ["payments"], "undoes": None},
)
TASK_STARTED = _task(
    "started",
    TaskStarted,
    Priority.MEDIUM,
    "An agent took the lease of a task and begins.",
    {"agent_id": "agent-7", "attempt": 1, "lease": 1, "started_at": _AT},
)
TASK_PROGRESS = _task(
    "progress",
    TaskProgress,
    Priority.MEDIUM,
    "How far a task is; at most one every 10 s.",
    {"agent_id": "agent-7", "progress": 0.5},
)
TASK_COMPLETED = _task(
    "completed",
    TaskCompleted,
    Priority.MEDIUM,
    "A task is done.",
    {"agent_id": "agent-7", "attempt": 1, "lease": 1, "duration_ms": 412.5, "completed_at": _AT},
)
TASK_FAILED = _task(
    "failed",
    TaskFailed,
    Priority.HIGH,
    "A try of a task failed.",
    {
        "agent_id": "agent-7",
        "error": "card declined",
        "attempt": 3,
        "max_attempts": 3,
        "will_retry": False,
        "failed_at": _AT,
    },
)
TASK_RETRYING = _task(
    "retrying",
    TaskRetrying,
    Priority.MEDIUM,
    "A task will be tried again.",
    {"attempt": 1, "next_attempt": _AT + 2},
)
TASK_CANCELLED = _task(
    "cancelled",
    TaskCancelled,
    Priority.MEDIUM,
    "A task will not be done.",
    {"agent_id": None, "acknowledged": True},
)
TASK_LEASE_LOST = _task(
    "lease_lost",
    TaskLeaseLost,
    Priority.HIGH,
    "An agent lost the lease of a task, which goes to another.",
    {"agent_id": "agent-7", "attempt": 1, "lease": 1, "reason": "expired"},
)
MISSION_CREATED = _mission(
    "created",
    MissionCreated,
    Priority.MEDIUM,
    "A mission was made.",
    {"priority": "normal", "total_tasks": 4, "deadline": None, "by": "planner"},
)
MISSION_STARTED = _mission(
    "started",
    MissionStarted,
    Priority.MEDIUM,
    "A mission began.",
    {"total_tasks": 4, "started_at": _AT},
)
MISSION_PAUSED = _mission(
    "paused",
    MissionMoved,
    Priority.MEDIUM,
    "A mission was paused: its running tasks go on, no other begins.",
    {"reason": "stocktaking", "by": "ann", "at": _AT},
)
MISSION_RESUMED = _mission(
    "resumed",
    MissionMoved,
    Priority.MEDIUM,
    "A paused mission goes on.",
    {"reason": "", "by": "ann", "at": _AT},
)
_ENDED = {
    "reason": "",
    "completed_tasks": 4,
    "total_tasks": 4,
    "escalated": [],
    "compensated": None,
    "ended_at": _AT,
    "duration_seconds": 12.5,
}
MISSION_COMPLETED = _mission(
    "completed", MissionEnded, Priority.MEDIUM, "All tasks of a mission are completed.", _ENDED
)
_BROKEN = {**_ENDED, "completed_tasks": 2, "compensated": True}
MISSION_FAILED = _mission(
    "failed",
    MissionEnded,
    Priority.HIGH,
    "A mission is over because one of its tasks failed.",
    {**_BROKEN, "reason": "task charge failed: card declined"},
)
MISSION_CANCELLED = _mission(
    "cancelled",
    MissionEnded,
    Priority.HIGH,
    "A mission is over because it was cancelled: no agent does anything for it any more.",
    {**_BROKEN, "reason": "the customer changed her mind"},
)
MISSION_OVERDUE = _mission(
    "overdue",
    MissionOverdue,
    Priority.HIGH,
    "A mission is not over at its deadline.",
    {"deadline": _AT, "open_tasks": 2},
)
MISSION_WAITING = _mission(
    "waiting_for_person",
    MissionWaiting,
    Priority.HIGH,
    "A task of a mission waits for a person.",
    {
        "task_id": _TASK["task_id"],
        "approval_id": "apr_5b8d0c2f9a31",
        "question": "Refund 900 euros?",
        "until": _AT + 3600,
    },
)
MISSION_COMPENSATED = _mission(
    "compensated",
    MissionCompensated,
    Priority.HIGH,
    "What a failed or cancelled mission had done is undone.",
    {"undone": ["charge", "reserve"]},
)
AGENT_ONLINE = EventType(
    "agent.online",
    "missions",
    AgentOnline,
    Priority.MEDIUM,
    Frequency.LOW,
    "An agent is there and asks for tasks.",
    {"agent_id": "agent-7", "capabilities": ["payments"]},
)
AGENT_OFFLINE = EventType(
    "agent.offline",
    "missions",
    AgentOffline,
    Priority.HIGH,
    Frequency.LOW,
    "An agent is gone: silent for too long, contained, or unregistered.",
    {"agent_id": "agent-7", "reason": "silent"},
)

EVENTS: tuple[EventType[Any], ...] = (
    MISSION_CREATED,
    MISSION_STARTED,
    MISSION_PAUSED,
    MISSION_RESUMED,
    MISSION_WAITING,
    MISSION_OVERDUE,
    MISSION_COMPLETED,
    MISSION_FAILED,
    MISSION_CANCELLED,
    MISSION_COMPENSATED,
    TASK_CREATED,
    TASK_STARTED,
    TASK_PROGRESS,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_RETRYING,
    TASK_CANCELLED,
    TASK_LEASE_LOST,
    AGENT_ONLINE,
    AGENT_OFFLINE,
)
