"""The shapes that the HTTP API of missions takes and gives; the command line shows the same documents."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.fields import Value
from brain.missions.models import AgentId, Capability, MissionStatus, Name, NewMission, NoNul, TaskStatus

EXAMPLE_ID = "mis_4be0c1f2a9d35768"
EXAMPLE_TASK = f"{EXAMPLE_ID}.charge"
LONGEST_WAIT = 20.0
"""Seconds that one request for a task may wait."""

Note = Annotated[str, NoNul, Field(max_length=limits.REASON, description="The reason, in words")]
ByField = Annotated[AgentId | None, Field(description="Who does it: the person or the agent that policy decides on")]
Token = Annotated[int, Field(ge=0, le=limits.COUNT, description="The token of the lease, as it came with the task")]


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


class MissionRequest(NewMission):
    """A mission to be made: a graph of tasks."""

    model_config: ClassVar[ConfigDict] = _example(
        name="order 4711",
        by="planner",
        tasks=[
            {"id": "reserve", "type": "reserve", "input": {"item": "A-17"}, "undo": {"type": "release"}},
            {"id": "charge", "type": "charge", "depends_on": ["reserve"], "capabilities": ["payments"]},
        ],
    )


class Reason(BaseModel):
    """Why, and by whom."""

    model_config: ClassVar[ConfigDict] = _example(reason="stocktaking", by="ann")

    reason: Note = ""
    by: ByField = None


class PersonAnswer(BaseModel):
    """A person's answer to a task's question."""

    model_config: ClassVar[ConfigDict] = _example(approved=True, by="ann", note="checked with the customer")

    approved: bool = Field(description="Yes or no; no ends the mission")
    by: AgentId = Field(description="The person")
    note: Note = ""


class LeaseRequest(BaseModel):
    """What an agent can do, and how many tasks it wants."""

    model_config: ClassVar[ConfigDict] = _example(agent_id="agent-7", capabilities=["payments"], wait_seconds=0)

    agent_id: AgentId
    capabilities: list[Capability] = Field(default=[], max_length=100, description="What the agent can do")
    types: list[Name] = Field(default=[], max_length=100, description="Only tasks of these types; empty: of any")
    most: int = Field(default=1, ge=1, le=1000, description="At most so many tasks")
    lease_seconds: float | None = Field(
        default=None, ge=1, le=3600, description="How long it holds them; left out: the setting lease_seconds"
    )
    wait_seconds: float = Field(default=0, ge=0, le=LONGEST_WAIT, description="How long it waits for the first one")


class HeartbeatRequest(BaseModel):
    """An agent goes on with a task."""

    model_config: ClassVar[ConfigDict] = _example(token=1, progress=0.5)

    token: Token
    lease_seconds: float | None = Field(
        default=None, ge=1, le=3600, description="How long it holds it from now; left out: the setting lease_seconds"
    )
    progress: float | None = Field(default=None, ge=0, le=1, description="How far it is")


class CompleteRequest(BaseModel):
    """A task is done."""

    model_config: ClassVar[ConfigDict] = _example(token=1, result={"receipt": "r-17"})

    token: Token
    result: Value = Field(default=None, description="What came of it, for those who look and for what undoes it")


class FailRequest(BaseModel):
    """A try of a task failed."""

    model_config: ClassVar[ConfigDict] = _example(token=1, error="card declined", retry=False)

    token: Token
    error: str = Field(max_length=limits.REASON, description="What went wrong")
    retry: bool = Field(default=True, description="Whether another try may help")


class GiveBackRequest(BaseModel):
    """An agent gives a task back, and has done nothing of it."""

    model_config: ClassVar[ConfigDict] = _example(token=1)

    token: Token


class TaskView(BaseModel):
    """A task."""

    id: str = Field(examples=[EXAMPLE_TASK])
    name: str
    type: str
    status: TaskStatus
    depends_on: list[str]
    capabilities: list[str]
    input: dict[str, Any]
    attempts: int = Field(description="Tries begun")
    max_attempts: int
    agent: str | None = Field(description="Who has it, or had it last")
    token: int = Field(description="The token of its last lease")
    lease_until: float | None
    due_at: float | None = Field(description="When time decides: a lease ends, a retry or an answer is due")
    progress: float | None
    result: Any
    error: str | None
    person: str | None = Field(description="The question to a person")
    approval: str | None = Field(description="The approval that policy asks for")
    undoes: str | None = Field(description="The name of the task that it undoes")
    started_at: float | None
    ended_at: float | None


class MissionSummary(BaseModel):
    """A mission, without its tasks."""

    id: str = Field(examples=[EXAMPLE_ID])
    name: str
    description: str
    status: MissionStatus
    priority: str
    deadline: float | None
    overdue: bool
    tags: list[str]
    context: dict[str, Any]
    correlation_id: str
    by: str | None
    reason: str
    outcome: str | None = Field(description="What it will be once it has stopped: failed or cancelled")
    stop_until: float | None = Field(description="When its agents must have acknowledged that it stops")
    escalated: list[str] = Field(description="Tasks whose agents did not")
    compensated: bool | None = Field(description="Whether what was done is undone; null: nothing was to be")
    total_tasks: int
    completed_tasks: int
    progress: float = Field(description="0 to 1, by tasks")
    created_at: float
    started_at: float | None
    ended_at: float | None


class MissionView(MissionSummary):
    """A mission with its tasks, each after those that it depends on."""

    tasks: list[TaskView]


class NodeView(BaseModel):
    """A task in a graph."""

    name: str
    type: str
    status: TaskStatus
    agent: str | None
    undoes: str | None


class GraphView(BaseModel):
    """The graph of a mission's tasks."""

    id: str
    name: str
    status: MissionStatus
    nodes: list[NodeView]
    edges: list[dict[str, str]] = Field(description="From a task to one that depends on it: `from` and `to`")


class StatsView(BaseModel):
    """How many there are, by status."""

    missions: dict[str, int]
    tasks: dict[str, int]
    agents: dict[str, int]


class ClaimedView(BaseModel):
    """A task that the agent holds now."""

    model_config: ClassVar[ConfigDict] = ConfigDict(from_attributes=True)

    id: str = Field(examples=[EXAMPLE_TASK])
    mission_id: str
    name: str
    type: str
    input: dict[str, Any]
    context: dict[str, Any] = Field(description="What every agent of the mission gets")
    attempt: int
    token: int = Field(description="To be sent with all that the agent says of the task")
    lease_until: float


class HeartbeatView(BaseModel):
    """Whether the agent goes on."""

    model_config: ClassVar[ConfigDict] = ConfigDict(from_attributes=True)

    lease_until: float
    stop: bool = Field(description="The mission stops: stop the work, then give the task back")


class AgentView(BaseModel):
    """An agent that does tasks."""

    id: str
    capabilities: list[str]
    online: bool
    contained: bool | None = Field(description="Whether policy contains it; null: no plug-in knows")
    running: int = Field(description="Tasks that it holds")
    completed: int
    failed: int
    lost_leases: int = Field(description="In a row, with nothing done between")
    since: float
    seen_at: float


class UnregisteredView(BaseModel):
    """What became of the tasks of an agent that goes."""

    released: int = Field(description="Tasks that others can have now")
