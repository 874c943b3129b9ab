"""The events of the bridge to ROS."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

_Bridge = Annotated[str, Meta(description="The link's name in the settings.")]
_Topic = Annotated[str, Meta(description="The topic, as `/robot/cmd_vel`.")]
_Type = Annotated[str, Meta(description="The type of its messages, as `geometry_msgs/msg/Twist`.")]
_Robot = Annotated[str, Meta(description="The robot that the topic moves, or that is asked.")]
_Kind = Annotated[str, Meta(description="What it is for: topic, service or action.")]
_Name = Annotated[str, Meta(description="The topic, service or action, as `/robot/cmd_vel`.")]
_Agent = Annotated[str, Meta(description="The agent that asked for it.")]
_Answer = Annotated[str, Meta(description="The answer as JSON, cut off after 1,000 characters; empty: none.")]


class LinkChanged(TypedDict):
    """A link came up, or is down."""

    bridge_id: _Bridge
    driver: Annotated[str, Meta(description="rosbridge or zenoh.")]
    domain_id: Annotated[int, Meta(description="ROS_DOMAIN_ID.")]
    endpoint: Annotated[str, Meta(description="Where it leads, without user and password.")]
    reason: Annotated[str, Meta(description="Why it is down; empty when it is up.")]


class TopicSilent(TypedDict):
    """A topic has been silent for too long."""

    bridge_id: _Bridge
    topic: _Topic
    type: _Type
    expected_hz: Annotated[float, Meta(description="How often messages came before; 0: not known.")]
    last_at: Annotated[float | None, Meta(description="When the last one came, in Unix seconds; null: none ever came.")]


class TopicSummary(TypedDict):
    """What came on a topic within a window."""

    bridge_id: _Bridge
    topic: _Topic
    type: _Type
    window_seconds: Annotated[float, Meta(description="How long the window was.")]
    count: Annotated[int, Meta(description="Messages in it.")]
    hz: Annotated[float, Meta(description="Messages a second.")]
    bytes: Annotated[int, Meta(description="Their bytes.")]
    max_gap: Annotated[float, Meta(description="The longest time between two of them, in seconds.")]


class GraphChanged(TypedDict):
    """The peer tells of other things than before."""

    bridge_id: _Bridge
    added: Annotated[list[str], Meta(description="As `node /talker` and `topic /odom nav_msgs/msg/Odometry`; some.")]
    removed: Annotated[list[str], Meta(description="What it no longer tells of; some.")]
    added_count: Annotated[int, Meta(description="How many were added.")]
    removed_count: Annotated[int, Meta(description="How many were removed.")]


class RecordingClosed(TypedDict):
    """A bag of a link is finished."""

    bridge_id: _Bridge
    file: Annotated[str, Meta(description="The file below `[ros2_bridge] folder`.")]
    sha256: Annotated[str, Meta(description="Of the file.")]
    bytes: Annotated[int, Meta(description="Its size.")]
    messages: Annotated[int, Meta(description="Messages in it.")]
    seconds: Annotated[float, Meta(description="From the first message to the last.")]


class CommandSent(TypedDict):
    """A command, call or goal was given to the link."""

    bridge_id: _Bridge
    robot_id: _Robot
    kind: _Kind
    topic: _Name
    type: _Type
    agent_id: Annotated[str, Meta(description="The agent that gave it.")]
    args_hash: Annotated[str, Meta(description="SHA-256 of the message as canonical JSON, its first 16 digits.")]
    rule_id: Annotated[str | None, Meta(description="The rule that let it through; null when none matched.")]


class CommandRefused(TypedDict):
    """A command, call or goal was not sent."""

    bridge_id: _Bridge
    robot_id: _Robot
    kind: _Kind
    topic: _Name
    type: _Type
    agent_id: Annotated[str, Meta(description="The agent that gave it.")]
    code: Annotated[
        str, Meta(description="bounds, message, rate, denied, contained, interlock, stopped, link_down, unavailable.")
    ]
    reason: Annotated[str, Meta(description="Why.")]


class StopSent(TypedDict):
    """A robot was sent the message that stops it."""

    bridge_id: _Bridge
    robot_id: _Robot
    topic: _Topic
    reason: Annotated[str, Meta(description="deadman, contained, interlock, link_up or shutdown.")]
    detail: Annotated[str, Meta(description="What the interlock said; else empty.")]


class ServiceAnswered(TypedDict):
    """A call of a service is over."""

    bridge_id: _Bridge
    robot_id: _Robot
    service: Annotated[str, Meta(description="The service, as `/robot/lights/set`.")]
    type: Annotated[str, Meta(description="Its type, as `std_srvs/srv/SetBool`.")]
    agent_id: _Agent
    outcome: Annotated[str, Meta(description="answered, failed, timeout or link_down.")]
    reason: Annotated[str, Meta(description="Why there is no answer; else empty.")]
    seconds: Annotated[float, Meta(description="How long it took.")]
    answer: _Answer


class GoalChanged(TypedDict):
    """A goal of an action has another status."""

    bridge_id: _Bridge
    robot_id: _Robot
    action: Annotated[str, Meta(description="The action, as `/navigate_to_pose`.")]
    type: Annotated[str, Meta(description="Its type, as `nav2_msgs/action/NavigateToPose`.")]
    agent_id: _Agent
    goal_id: Annotated[str, Meta(description="32 hexadecimal digits.")]
    status: Annotated[
        str,
        Meta(
            description="sent, accepted, canceling, lost; at its end succeeded, canceled, aborted, rejected, failed, "
            "timeout or unknown."
        ),
    ]
    reason: Annotated[str, Meta(description="Why it is cancelled, lost or failed; else empty.")]
    seconds: Annotated[float, Meta(description="Since it was sent.")]
    answer: _Answer


_LINK: LinkChanged = {
    "bridge_id": "hall",
    "driver": "rosbridge",
    "domain_id": 0,
    "endpoint": "ws://rover:9090",
    "reason": "",
}
_SENT: CommandSent = {
    "bridge_id": "hall",
    "robot_id": "rover",
    "kind": "topic",
    "topic": "/cmd_vel",
    "type": "geometry_msgs/msg/Twist",
    "agent_id": "driver-1",
    "args_hash": "9f3ac81b2d40e7a1",
    "rule_id": "drivers",
}


def _declare(name: str, payload: Any, priority: Priority, purpose: str, example: Any) -> EventType[Any]:
    return EventType(
        name=f"ros2.{name}",
        module="ros2",
        payload=payload,
        priority=priority,
        frequency=Frequency.HIGH if name in ("command_sent", "service_answered") else Frequency.LOW,
        purpose=purpose,
        example=example,
    )


LINK_UP = _declare("link_up", LinkChanged, Priority.HIGH, "A link to robots is up.", _LINK)
LINK_DOWN = _declare(
    "link_down", LinkChanged, Priority.HIGH, "A link to robots is down.", {**_LINK, "reason": "the peer went away"}
)
TOPIC_SILENT = _declare(
    "topic_silent",
    TopicSilent,
    Priority.HIGH,
    "No message came on a topic for longer than its settings allow; announced once until one comes.",
    {
        "bridge_id": "hall",
        "topic": "/odom",
        "type": "nav_msgs/msg/Odometry",
        "expected_hz": 27.1,
        "last_at": 1703001234.5,
    },
)
TOPIC_SUMMARY = _declare(
    "topic_summary",
    TopicSummary,
    Priority.MEDIUM,
    "What came on a watched topic within a window.",
    {
        "bridge_id": "hall",
        "topic": "/odom",
        "type": "nav_msgs/msg/Odometry",
        "window_seconds": 60.0,
        "count": 1626,
        "hz": 27.1,
        "bytes": 1173972,
        "max_gap": 0.2,
    },
)
COMMAND_SENT = _declare(
    "command_sent",
    CommandSent,
    Priority.HIGH,
    "A command, call or goal was given to a link: rules and bounds let it through.",
    _SENT,
)
COMMAND_REFUSED = _declare(
    "command_refused",
    CommandRefused,
    Priority.CRITICAL,
    "A command, call or goal was not sent.",
    {
        "bridge_id": "hall",
        "robot_id": "rover",
        "kind": "topic",
        "topic": "/cmd_vel",
        "type": "geometry_msgs/msg/Twist",
        "agent_id": "driver-1",
        "code": "bounds",
        "reason": "linear.x is 0.7, its bound is 0.5",
    },
)
STOP_SENT = _declare(
    "stop_sent",
    StopSent,
    Priority.HIGH,
    "A robot was sent the message that stops it, without anybody being asked.",
    {"bridge_id": "hall", "robot_id": "rover", "topic": "/cmd_vel", "reason": "deadman", "detail": ""},
)

GRAPH_CHANGED = _declare(
    "graph_changed",
    GraphChanged,
    Priority.MEDIUM,
    "Nodes, topics, services or actions came or went, as far as the peer tells.",
    {
        "bridge_id": "hall",
        "added": ["node /talker", "topic /chatter std_msgs/msg/String"],
        "removed": [],
        "added_count": 2,
        "removed_count": 0,
    },
)
RECORDING_CLOSED = _declare(
    "recording_closed",
    RecordingClosed,
    Priority.MEDIUM,
    "A bag of what came over a link is finished.",
    {
        "bridge_id": "hall",
        "file": "hall-20261130T164500Z.mcap",
        "sha256": "5b0e8a31f3f9d6a1c2b4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a",
        "bytes": 5242880,
        "messages": 8197,
        "seconds": 3600.0,
    },
)

SERVICE_ANSWERED = _declare(
    "service_answered",
    ServiceAnswered,
    Priority.MEDIUM,
    "A call of a service is over.",
    {
        "bridge_id": "hall",
        "robot_id": "rover",
        "service": "/lights/set",
        "type": "std_srvs/srv/SetBool",
        "agent_id": "driver-1",
        "outcome": "answered",
        "reason": "",
        "seconds": 0.02,
        "answer": '{"success":true,"message":"on"}',
    },
)
GOAL_CHANGED = _declare(
    "goal_changed",
    GoalChanged,
    Priority.MEDIUM,
    "A goal of an action has another status.",
    {
        "bridge_id": "hall",
        "robot_id": "rover",
        "action": "/navigate_to_pose",
        "type": "nav2_msgs/action/NavigateToPose",
        "agent_id": "driver-1",
        "goal_id": "5f0c1d9b8a7e4c3fa1b2c3d4e5f60718",
        "status": "succeeded",
        "reason": "",
        "seconds": 21.4,
        "answer": '{"error_code":0}',
    },
)

EVENTS: tuple[EventType[Any], ...] = (
    LINK_UP,
    LINK_DOWN,
    TOPIC_SILENT,
    TOPIC_SUMMARY,
    COMMAND_SENT,
    COMMAND_REFUSED,
    STOP_SENT,
    SERVICE_ANSWERED,
    GOAL_CHANGED,
    GRAPH_CHANGED,
    RECORDING_CLOSED,
)
