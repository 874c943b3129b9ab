"""The events of telemetry: few, one a window or one a change."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

Robot = Annotated[str, Meta(description="The source's id: a robot, a host, a service.")]
Source = Annotated[str, Meta(description="The source's id.")]
Connection = Annotated[str, Meta(description="The connection's id, `con_<24 hex digits>`.")]
Moment = Annotated[float, Meta(description="In Unix seconds.")]
Tokens = Annotated[int, Meta(ge=0, description="Tokens, of leaf calls alone.")]


class ConnectionEstablished(TypedDict):
    """A source is connected."""

    robot_id: Robot
    connection_id: Connection
    connected_at: Moment
    seq: Annotated[int, Meta(ge=0, description="The last sequence number that is stored: it goes on from there.")]


class ConnectionClosed(TypedDict):
    """A connection has ended."""

    robot_id: Robot
    connection_id: Connection
    duration_seconds: Annotated[float, Meta(ge=0, description="How long it was open.")]
    reason: Annotated[str, Meta(description="closed by the source, lost, replaced, refused or server stopped.")]
    disconnected_at: Moment


class WindowFigures(TypedDict):
    """Samples of one value in a window."""

    min: float
    max: float
    mean: float
    count: int


class MetricsPublished(TypedDict):
    """What a source sent since its last such event."""

    robot_id: Robot
    metrics: Annotated[dict[str, float], Meta(description="The last value of each, by name.")]
    window: Annotated[dict[str, WindowFigures], Meta(description="Least, greatest, mean and number, by name.")]
    left_out: Annotated[int, Meta(ge=0, description="Names that found no room; their windows are stored all the same.")]
    window_seconds: Annotated[float, Meta(ge=0, description="Seconds since the first of these samples came in.")]
    published_at: Moment


class SourceStale(TypedDict):
    """A source that should send does not."""

    source_id: Source
    last_seen: Moment
    expected_interval: Annotated[float, Meta(gt=0, description="Seconds between two samples, as expected.")]


class SourceRecovered(TypedDict):
    """A stale source sends again."""

    source_id: Source
    last_seen: Annotated[float, Meta(description="When it was seen before, in Unix seconds.")]
    silent_seconds: Annotated[float, Meta(ge=0, description="For how long it was silent.")]


class Gap(TypedDict):
    """Sequence numbers that a source passed over: these samples are lost."""

    source_id: Source
    from_seq: Annotated[int, Meta(ge=1, description="The first that is missing.")]
    to_seq: Annotated[int, Meta(ge=1, description="The last that is missing.")]
    lost: Annotated[int, Meta(ge=1, description="How many are missing.")]


class LimitCrossed(TypedDict):
    """A value of a source went beyond a limit of the settings."""

    source_id: Source
    name: Annotated[str, Meta(description="The value's name.")]
    value: float
    limit: float


class LimitCleared(TypedDict):
    """A value of a source is back within a limit."""

    source_id: Source
    name: Annotated[str, Meta(description="The value's name.")]
    value: float
    limit: float
    seconds: Annotated[float, Meta(ge=0, description="How long it was beyond the limit.")]


class ModelUsage(TypedDict):
    """Calls of one model."""

    model: str
    provider: str
    operation: str
    calls: int
    errors: int
    input_tokens: Tokens
    output_tokens: Tokens
    cost: Annotated[float | None, Meta(description="By the price table; null: it has no price for this model.")]
    seconds: float


class ToolUsage(TypedDict):
    """Calls of one tool."""

    tool: str
    calls: int
    errors: int
    seconds: float


class AgentUsage(TypedDict):
    """What an agent used in a window."""

    agent_id: Annotated[str, Meta(description="The agent's name, or its service's where no span names it.")]
    window_started_at: Moment
    window_seconds: Annotated[int, Meta(ge=1, description="The window's width.")]
    input_tokens: Tokens
    output_tokens: Tokens
    cost: Annotated[float | None, Meta(description="What is known of it; null: no model of it has a price.")]
    currency: Annotated[str, Meta(description="Of the costs.")]
    models: Annotated[list[ModelUsage], Meta(description="The 20 with the most tokens.")]
    tools: Annotated[list[ToolUsage], Meta(description="The 20 with the most calls.")]


CONNECTED = EventType(
    name="telemetry.connection_established",
    module="telemetry",
    payload=ConnectionEstablished,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A source connected.",
    example={
        "robot_id": "robot-7",
        "connection_id": "con_9f3ac81b2d40a1c79f3ac81b",
        "connected_at": 1703001234.5,
        "seq": 0,
    },
)
DISCONNECTED = EventType(
    name="telemetry.connection_closed",
    module="telemetry",
    payload=ConnectionClosed,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="The connection of a source ended.",
    example={
        "robot_id": "robot-7",
        "connection_id": "con_9f3ac81b2d40a1c79f3ac81b",
        "duration_seconds": 97.4,
        "reason": "closed by the source",
        "disconnected_at": 1703001331.9,
    },
)
PUBLISHED = EventType(
    name="telemetry.metrics_published",
    module="telemetry",
    payload=MetricsPublished,
    priority=Priority.MEDIUM,
    frequency=Frequency.MEDIUM,
    purpose="What a source sent, at most one a minute.",
    example={
        "robot_id": "robot-7",
        "metrics": {"battery_percentage": 78.0},
        "window": {"battery_percentage": {"min": 77.5, "max": 80.0, "mean": 78.9, "count": 600}},
        "left_out": 0,
        "window_seconds": 60.0,
        "published_at": 1703001294.5,
    },
)
STALE = EventType(
    name="telemetry.stale",
    module="telemetry",
    payload=SourceStale,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A source that should send does not.",
    example={"source_id": "robot-7", "last_seen": 1703001234.5, "expected_interval": 1.0},
)
RECOVERED = EventType(
    name="telemetry.recovered",
    module="telemetry",
    payload=SourceRecovered,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A stale source sends again.",
    example={"source_id": "robot-7", "last_seen": 1703001234.5, "silent_seconds": 12.25},
)
GAP = EventType(
    name="telemetry.gap",
    module="telemetry",
    payload=Gap,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A source passed over sequence numbers; these samples are lost.",
    example={"source_id": "robot-7", "from_seq": 101, "to_seq": 105, "lost": 5},
)
LIMIT_CROSSED = EventType(
    name="telemetry.limit_crossed",
    module="telemetry",
    payload=LimitCrossed,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A value of a source went beyond a limit.",
    example={"source_id": "robot-7", "name": "battery_percentage", "value": 9.5, "limit": 10.0},
)
LIMIT_CLEARED = EventType(
    name="telemetry.limit_cleared",
    module="telemetry",
    payload=LimitCleared,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A value of a source is back within a limit.",
    example={
        "source_id": "robot-7",
        "name": "battery_percentage",
        "value": 20.0,
        "limit": 10.0,
        "seconds": 1800.0,
    },
)
USAGE = EventType(
    name="telemetry.agent_usage",
    module="telemetry",
    payload=AgentUsage,
    priority=Priority.MEDIUM,
    frequency=Frequency.HIGH,
    purpose="What an agent used of models and tools in a window.",
    example={
        "agent_id": "researcher",
        "window_started_at": 1703001180.0,
        "window_seconds": 60,
        "input_tokens": 120,
        "output_tokens": 17,
        "cost": 0.00047,
        "currency": "USD",
        "models": [
            {
                "model": "gpt-5",
                "provider": "openai",
                "operation": "chat",
                "calls": 1,
                "errors": 0,
                "input_tokens": 120,
                "output_tokens": 17,
                "cost": 0.00047,
                "seconds": 1.25,
            }
        ],
        "tools": [{"tool": "search", "calls": 1, "errors": 0, "seconds": 0.5}],
    },
)
EVENTS = (CONNECTED, DISCONNECTED, PUBLISHED, STALE, RECOVERED, GAP, LIMIT_CROSSED, LIMIT_CLEARED, USAGE)
