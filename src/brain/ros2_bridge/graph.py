"""What a peer tells of the nodes, topics, services and actions that it knows.

Over Zenoh liveliness tokens tell it, whose form rmw_zenoh has in docs/design.md and liveliness_utils.cpp. A
rosbridge tells it by the services of rosapi.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

TOKENS = "@ros2_lv"
"""The first part of the tokens."""
_SEND_GOAL = "/_action/send_goal"
_NODE, _PUBLISHER, _SUBSCRIPTION, _SERVER = "NN", "MP", "MS", "SS"
_RELIABILITY = {"0": "system_default", "1": "reliable", "2": "best_effort", "4": "best_available"}
_DURABILITY = {"0": "system_default", "1": "transient_local", "2": "volatile", "4": "best_available"}
_LONGEST = 300
_DEPTH = 42
"""What rmw_zenoh leaves out of a token: reliable, transient_local, and this depth."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher or subscription of a node, and its QoS."""

    node: Annotated[str, Meta(description="The node, with its namespace.")]
    reliability: Annotated[str, Meta(description="reliable, best_effort, best_available, system_default or unknown.")]
    durability: Annotated[str, Meta(description="volatile, transient_local, best_available, system_default, unknown.")]
    depth: Annotated[int | None, Meta(description="Messages that it keeps; null: all, or not known.")]


class GraphTopic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic of the peer."""

    topic: Annotated[str, Meta(description="The topic.")]
    type: Annotated[str, Meta(description="The type of its messages.")]
    publishers: Annotated[list[Endpoint] | None, Meta(description="Who publishes; null: the peer does not tell.")]
    subscribers: Annotated[list[Endpoint] | None, Meta(description="Who listens; null: the peer does not tell.")]


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer tells; all sorted."""

    nodes: list[str] = []
    topics: list[GraphTopic] = []
    services: Annotated[list[str], Meta(description="Names of services, without those of actions.")] = []
    actions: Annotated[list[str], Meta(description="Names of actions.")] = []

    def names(self) -> set[str]:
        """Everything by its kind and name."""
        return {
            *(f"node {name}" for name in self.nodes),
            *(f"topic {one.topic} {one.type}" for one in self.topics),
            *(f"service {name}" for name in self.services),
            *(f"action {name}" for name in self.actions),
        }


def graph_of_tokens(tokens: Iterable[str]) -> Graph:
    """The graph of liveliness tokens; what is no token is left out."""
    nodes: set[str] = set()
    topics: dict[tuple[str, str], tuple[list[Endpoint], list[Endpoint]]] = {}
    services: set[str] = set()
    for token in tokens:
        kind, node, rest = _read(token)
        if kind == _NODE:
            nodes.add(node)
        elif kind in (_PUBLISHER, _SUBSCRIPTION) and len(rest) >= 3:
            name, type, *more = rest
            ends = topics.setdefault((_name(name), type_of(type)), ([], []))
            ends[kind == _SUBSCRIPTION].append(_endpoint(node, more[1] if len(more) > 1 else ""))
        elif kind == _SERVER and rest:
            services.add(_name(rest[0]))
    return _graph(
        nodes,
        [
            GraphTopic(topic=topic, type=type, publishers=_sorted(publishers), subscribers=_sorted(subscribers))
            for (topic, type), (publishers, subscribers) in sorted(topics.items())
        ],
        services,
    )


def graph_of_rosapi(answers: dict[str, Any]) -> Graph:
    """The graph of what services of rosapi answered, by the last part of their names."""
    pairs = sorted(zip(_names(answers, "topics"), _names(answers, "topics", "types"), strict=False))
    topics = [GraphTopic(topic=topic, type=type, publishers=None, subscribers=None) for topic, type in pairs]
    services, actions = _names(answers, "services"), _names(answers, "action_servers")
    return _graph(set(_names(answers, "nodes")), topics, set(services), actions)


def _names(answers: dict[str, Any], service: str, field: str | None = None) -> list[str]:
    """What a service answered in a field, which has its name if none is given; nothing for what is no list."""
    found = answers.get(service, {}).get(field or service)
    return [str(one)[:_LONGEST] for one in found] if isinstance(found, list) else []


def _graph(nodes: set[str], topics: list[GraphTopic], services: set[str], more: Iterable[str] = ()) -> Graph:
    actions = {name.removesuffix(_SEND_GOAL) for name in services if name.endswith(_SEND_GOAL)} | set(more)
    plain = sorted(name for name in services if "/_action/" not in name)
    return Graph(nodes=sorted(nodes), topics=topics, services=plain, actions=sorted(actions))


def _read(token: str) -> tuple[str, str, list[str]]:
    """The kind of a token, its node, and the rest: topic, type, hash, QoS."""
    parts = token.split("/")
    if len(parts) < 9 or parts[0] != TOKENS:
        return "", "", []
    _, _, _, _, _, kind, _, namespace, node, *rest = parts
    return kind, f"{_name(namespace).rstrip('/')}/{_name(node).strip('/')}", rest


def _name(mangled: str) -> str:
    return mangled.replace("%", "/")


def type_of(dds: str) -> str:
    """The type as ROS writes it, `nav_msgs/msg/Odometry`, of its name in keys and tokens of rmw_zenoh."""
    return _name(dds).replace("::dds_::", "::").replace("::", "/").removesuffix("_")


def _endpoint(node: str, qos: str) -> Endpoint:
    reliability, durability, history, *_ = [*qos.split(":"), "", "", ""]
    kept, _, depth = history.partition(",")
    return Endpoint(
        node=node,
        reliability=_RELIABILITY.get(reliability or "1", "unknown"),
        durability=_DURABILITY.get(durability or "1", "unknown"),
        depth=None if kept == "2" else int(depth) if depth.isdigit() else _DEPTH,
    )


def _sorted(ends: list[Endpoint]) -> list[Endpoint]:
    return sorted(ends, key=lambda end: end.node)
