"""What makes a message of VDA 5050 wrong although the official schemas take it.

They take an order without nodes, numbers out of order, a released node behind one that is not, a header id below 0,
another version, and an edge that names a node which is not there. Each check gives the faults, each with its place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from brain.missions.vda5050.messages import MOST_HEADER_ID, VERSION, Message

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").fullmatch


def check_header(message: Message) -> Iterator[str]:
    """The faults of what every message begins with."""
    number = message.get("headerId")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MOST_HEADER_ID:
        yield f"headerId: {number!r} is not between 0 and {MOST_HEADER_ID}"
    if message.get("version") != VERSION:
        yield f"version: {message.get('version')!r} is not {VERSION}"
    if not _TIMESTAMP(str(message.get("timestamp"))):
        yield f"timestamp: {message.get('timestamp')!r} is no time in UTC such as 2026-11-29T12:00:00.000Z"
    for name in ("manufacturer", "serialNumber"):
        if not message.get(name):
            yield f"{name}: is empty; a robot is known by both"


def check_order(order: Message) -> Iterator[str]:
    """The faults of an order by itself."""
    yield from check_header(order)
    if not order.get("orderId"):
        yield "orderId: is empty"
    nodes, edges = _rows(order, "nodes"), _rows(order, "edges")
    if not nodes:
        yield "nodes: is empty; an order needs one node at least"
        return
    if len(edges) != len(nodes) - 1:
        yield f"edges: {len(edges)} are not one fewer than the {len(nodes)} nodes"
    yield from _check_sequence(nodes, edges)
    yield from _check_release(nodes, edges)
    yield from _check_ends(nodes, edges)
    yield from _check_actions([action for one in (*nodes, *edges) for action in _rows(one, "actions")])
    for place, edge in enumerate(edges):
        yield from _check_trajectory(edge.get("trajectory"), f"edges[{place}].trajectory")


def check_update(before: Message, update: Message) -> Iterator[str]:
    """The faults of an update of an order that the robot has; those of `check_order` are not among them."""
    if before.get("orderId") != update.get("orderId"):
        yield f"orderId: {update.get('orderId')!r} is not that of the order, {before.get('orderId')!r}"
        return
    old, new = before.get("orderUpdateId", 0), update.get("orderUpdateId", 0)
    if new <= old:
        yield f"orderUpdateId: {new} is not above that of the order, {old}"
    base = [node for node in _rows(before, "nodes") if node.get("released")]
    nodes = _rows(update, "nodes")
    if not base or not nodes:
        return
    last, first = base[-1], nodes[0]
    if (first.get("nodeId"), first.get("sequenceId")) != (last.get("nodeId"), last.get("sequenceId")):
        yield (
            f"nodes[0]: {first.get('nodeId')!r} with sequenceId {first.get('sequenceId')} is not the last node of the "
            f"base, {last.get('nodeId')!r} with {last.get('sequenceId')}"
        )


def check_state(state: Message, order: Message | None = None) -> Iterator[str]:
    """The faults of a robot's state, by itself and with the order that it is to carry out."""
    yield from check_header(state)
    nodes, edges = _rows(state, "nodeStates"), _rows(state, "edgeStates")
    reached = state.get("lastNodeSequenceId", 0)
    if reached % 2:
        yield f"lastNodeSequenceId: {reached} is odd; nodes have even numbers"
    numbers = [one.get("sequenceId", 0) for one in (*nodes, *edges)]
    if any(number <= reached for number in numbers):
        yield f"nodeStates, edgeStates: {min(numbers)} is not beyond lastNodeSequenceId, {reached}"
    for name, rows, odd in (("nodeStates", nodes, 0), ("edgeStates", edges, 1)):
        yield from _check_rising(name, rows, odd)
    yield from _check_unique("actionStates", [str(one.get("actionId")) for one in _rows(state, "actionStates")])
    if order is not None:
        yield from _check_against(state, order)


def check_instant_actions(message: Message) -> Iterator[str]:
    """The faults of actions to be done at once."""
    yield from check_header(message)
    actions = _rows(message, "actions")
    if not actions:
        yield "actions: is empty; there is nothing to do"
    yield from _check_actions(actions)


CHECKS: Mapping[str, Callable[[Message], Iterator[str]]] = {
    "order": check_order,
    "state": check_state,
    "instantActions": check_instant_actions,
    "connection": check_header,
    "factsheet": check_header,
    "responses": check_header,
    "visualization": check_header,
    "zoneSet": check_header,
}
"""By topic."""


def _check_sequence(nodes: Sequence[Message], edges: Sequence[Message]) -> Iterator[str]:
    first = nodes[0].get("sequenceId", 0)
    if first % 2:
        yield f"nodes[0].sequenceId: {first} is odd; nodes have even numbers, edges odd ones"
    for name, rows, start in (("nodes", nodes, first), ("edges", edges, first + 1)):
        for place, one in enumerate(rows):
            if one.get("sequenceId") != start + 2 * place:
                yield f"{name}[{place}].sequenceId: {one.get('sequenceId')} is not {start + 2 * place}"


def _check_release(nodes: Sequence[Message], edges: Sequence[Message]) -> Iterator[str]:
    """The base comes before the horizon, and an edge is released with the node that it leads to."""
    if not nodes[0].get("released"):
        yield "nodes[0].released: is false; the first node belongs to the base"
    for place, (one, following) in enumerate(pairwise(nodes)):
        if following.get("released") and not one.get("released"):
            yield f"nodes[{place + 1}].released: is true behind a node that is not released"
    for place, (edge, end) in enumerate(zip(edges, nodes[1:], strict=False)):
        if edge.get("released") != end.get("released"):
            yield f"edges[{place}].released: is not that of the node it leads to, nodes[{place + 1}]"


def _check_ends(nodes: Sequence[Message], edges: Sequence[Message]) -> Iterator[str]:
    """3.0.0 has no ends in its edges; who names them all the same must name the neighbours."""
    there = {node.get("nodeId") for node in nodes}
    for place, edge in enumerate(edges):
        for name, neighbour in (("startNodeId", place), ("endNodeId", place + 1)):
            if name not in edge:
                continue
            if edge[name] not in there:
                yield f"edges[{place}].{name}: there is no node {edge[name]!r}"
            elif neighbour < len(nodes) and edge[name] != nodes[neighbour].get("nodeId"):
                yield f"edges[{place}].{name}: {edge[name]!r} is not its neighbour, {nodes[neighbour].get('nodeId')!r}"


def _check_actions(actions: Sequence[Message]) -> Iterator[str]:
    yield from _check_unique("actions", [str(action.get("actionId")) for action in actions])
    for action in actions:
        keys = [str(parameter.get("key")) for parameter in _rows(action, "actionParameters")]
        yield from _check_unique(f"action {action.get('actionId')}: actionParameters", keys)


def _check_trajectory(trajectory: Message | None, where: str) -> Iterator[str]:
    if not isinstance(trajectory, Mapping) or "knotVector" not in trajectory:
        return
    knots, points = trajectory["knotVector"], _rows(trajectory, "controlPoints")
    wanted = len(points) + trajectory.get("degree", 1) + 1
    if len(knots) != wanted:
        yield f"{where}.knotVector: {len(knots)} knots are not {wanted}, as the degree and the control points ask for"
    if any(one > following for one, following in pairwise(knots)):
        yield f"{where}.knotVector: falls"


def _check_rising(name: str, rows: Sequence[Message], odd: int) -> Iterator[str]:
    numbers = [one.get("sequenceId", 0) for one in rows]
    for place, number in enumerate(numbers):
        if number % 2 != odd:
            yield f"{name}[{place}].sequenceId: {number} is {'even' if odd else 'odd'}"
    if any(one >= following for one, following in pairwise(numbers)):
        yield f"{name}: its sequenceIds do not rise"


def _check_against(state: Message, order: Message) -> Iterator[str]:
    if state.get("orderId") != order.get("orderId"):
        yield f"orderId: {state.get('orderId')!r} is not the order's, {order.get('orderId')!r}"
        return
    names = {node["sequenceId"]: node["nodeId"] for node in _rows(order, "nodes")}
    reached = state.get("lastNodeSequenceId")
    if reached in names and state.get("lastNodeId") != names[reached]:
        yield f"lastNodeId: {state.get('lastNodeId')!r} is not the order's node {reached}, {names[reached]!r}"
    for place, one in enumerate(_rows(state, "nodeStates")):
        if names.get(one.get("sequenceId")) != one.get("nodeId"):
            yield f"nodeStates[{place}]: {one.get('nodeId')!r} with {one.get('sequenceId')} is not in the order"
    known = {action["actionId"] for one in (*order["nodes"], *order["edges"]) for action in one["actions"]}
    for action in _rows(state, "actionStates"):
        known.discard(action.get("actionId"))
    if known and state.get("orderUpdateId") == order.get("orderUpdateId"):
        yield f"actionStates: {', '.join(sorted(known))} of the order are missing"


def _check_unique(name: str, ids: Sequence[str]) -> Iterator[str]:
    for id, count in Counter(ids).items():
        if count > 1:
            yield f"{name}: {id!r} is there {count} times"


def _rows(message: Mapping[str, object], name: str) -> list[Message]:
    found = message.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
