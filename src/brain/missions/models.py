"""What missions are: the graph that is given, and the states of missions and tasks."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from brain import limits
from brain.errors import InvalidInput
from brain.fields import Moment, Object

MOST_TASKS = 10_000
"""Tasks of one mission."""
UNDO = "undo:"
"""How the names of tasks begin that undo others."""

PRIORITIES = {"low": 0, "normal": 1, "high": 2, "urgent": 3}
Priority = Literal["low", "normal", "high", "urgent"]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("has the character NUL, which databases cannot keep; leave it out")
    return text


NoNul: AfterValidator = AfterValidator(_without_nul)
AgentId = Annotated[str, NoNul, Field(min_length=1, max_length=limits.ID, examples=["robot-7"])]
Capability = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]*$")]


class MissionStatus(StrEnum):
    """Where a mission stands."""

    READY = "ready"
    """Made, not started."""
    RUNNING = "running"
    PAUSED = "paused"
    """Its running tasks go on; no other begins."""
    STOPPING = "stopping"
    """It is cancelled, or has failed, and agents have yet to acknowledge that."""
    COMPENSATING = "compensating"
    """What was done is being undone."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskStatus(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    """Waits for the tasks that it depends on."""
    READY = "ready"
    RUNNING = "running"
    """An agent has the lease."""
    RETRYING = "retrying"
    """An attempt failed; the next one is due later."""
    WAITING = "waiting"
    """Waits for a person."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({MissionStatus.COMPLETED, MissionStatus.FAILED, MissionStatus.CANCELLED})
OPEN = tuple(status for status in MissionStatus if status not in ENDED)


class _Given(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class Undo(_Given):
    """The task that undoes another."""

    type: Name = Field(examples=["refund"])
    input: Object = Field(default={}, description="What the agent gets, beside the result to undo")


class NewTask(_Given):
    """A task of a new mission."""

    id: Name = Field(description="Its name in the mission", examples=["charge"])
    type: Name = Field(description="What has to be done; the action that policy decides on is task.<type>")
    input: Object = Field(default={}, description="What the agent gets")
    depends_on: list[Name] = Field(default=[], max_length=1000, description="Tasks that must be completed before")
    capabilities: list[Capability] = Field(default=[], max_length=20, description="What the agent must be able to do")
    max_attempts: int = Field(default=3, ge=1, le=100, description="Tries until it has failed")
    retry_seconds: float = Field(default=1.0, ge=0, le=86_400, description="Wait before the second try; it doubles")
    timeout_seconds: float | None = Field(
        default=None, gt=0, le=31 * 86_400, description="Longest time of one try, or of a person's answer"
    )
    undo: Undo | None = Field(default=None, description="What undoes it when the mission fails or is cancelled later")
    person: Annotated[str, NoNul] | None = Field(
        default=None, min_length=1, max_length=limits.REASON, description="The question to a person; no agent gets it"
    )


class NewMission(_Given):
    """A mission to be made: a graph of tasks."""

    name: Annotated[str, NoNul] = Field(min_length=1, max_length=limits.TITLE, examples=["order 4711"])
    description: Annotated[str, NoNul] = Field(default="", max_length=limits.TEXT)
    tasks: list[NewTask] = Field(min_length=1, max_length=MOST_TASKS)
    priority: Priority = "normal"
    deadline: Moment | None = Field(default=None, description="Until when it should be over, Unix seconds")
    cancel_when_overdue: bool = Field(default=False, description="Whether it is cancelled at its deadline")
    tags: list[Annotated[str, NoNul, Field(max_length=limits.TYPE)]] = Field(default=[], max_length=limits.TAGS)
    context: Object = Field(default={}, description="What every agent gets with each task")
    correlation_id: Annotated[str, NoNul] | None = Field(
        default=None, max_length=limits.CORRELATION_ID, description="Of its events; else its id"
    )
    start: bool = Field(default=True, description="Whether it starts at once")
    by: AgentId | None = Field(default=None, description="Who makes it: the agent that policy decides on")


def in_order(tasks: Iterable[NewTask]) -> list[NewTask]:
    """The tasks so that each comes after those it depends on, else as given. Raises InvalidInput naming the fault."""
    tasks = list(tasks)
    given: dict[str, NewTask] = {}
    for task in tasks:
        if task.id in given:
            raise InvalidInput(f"tasks: two have the id {task.id!r}; give each its own")
        given[task.id] = task
    for task in tasks:
        if unknown := [name for name in task.depends_on if name not in given]:
            raise InvalidInput(f"tasks.{task.id}.depends_on: there is no task {unknown[0]!r} in this mission")
    try:
        order = TopologicalSorter({task.id: task.depends_on for task in tasks}).static_order()
        return [given[name] for name in order]
    except CycleError as error:
        raise InvalidInput(f"tasks: they wait for each other: {' -> '.join(error.args[1])}") from error


def requirement(capabilities: Iterable[str]) -> str:
    """The capabilities as one text, the same for the same set."""
    return " ".join(sorted(set(capabilities)))


def checked_document(value: Any, where: str) -> Any:
    """The JSON value. Raises InvalidInput when it is beyond the bounds of a value."""
    if (fault := limits.fault_of(value)) is not None:
        raise InvalidInput(f"{where}: {fault}")
    return value
