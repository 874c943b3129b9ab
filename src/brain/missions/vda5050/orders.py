"""Orders for robots: from a path that one has driven or is to drive, or from the tasks of a mission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot, pi
from typing import Any

from brain.errors import InvalidInput
from brain.missions.vda5050.messages import Headers, Message


@dataclass(frozen=True, slots=True)
class Pose:
    """Where on a map, in metres, and in which direction, in radians; no direction: the robot chooses."""

    x: float
    y: float
    theta: float | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """A place to go to, and what to do there."""

    pose: Pose
    name: str
    actions: Sequence[Message] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOptions:
    """What holds for a whole order: its map; how many nodes are released (None: all); speed in m/s; room in metres."""

    map_id: str
    order_id: str
    update_id: int = 0
    first_sequence: int = 0
    released: int | None = None
    speed: float | None = None
    deviation: float = 0.1
    description: str = field(default="")


def make_order(headers: Headers, stops: Sequence[Stop], options: OrderOptions) -> Message:
    """The order to go to these places one after the other. Raises InvalidInput when there is none."""
    if not stops:
        raise InvalidInput("order: there is no place to go to; an order needs one node at least")
    released = len(stops) if options.released is None else options.released
    if not 1 <= released <= len(stops):
        raise InvalidInput(f"order: {released} of {len(stops)} nodes cannot be released; give 1 to {len(stops)}")
    nodes = [_node(stop, place, place < released, options) for place, stop in enumerate(stops)]
    edges = [
        _edge(stops[place], stops[place + 1], place, place + 1 < released, options) for place in range(len(stops) - 1)
    ]
    order = {**headers.next("order"), "orderId": options.order_id, "orderUpdateId": options.update_id}
    if options.description:
        order["orderDescription"] = options.description
    return {**order, "nodes": nodes, "edges": edges}


def extend_order(headers: Headers, order: Message, stops: Sequence[Stop], options: OrderOptions) -> Message:
    """The update that goes on from the last released node of an order to these places."""
    last = [node for node in order["nodes"] if node["released"]][-1]
    at = last["nodePosition"]
    here = Stop(Pose(at["x"], at["y"], at.get("theta")), last["nodeId"], last["actions"])
    more = OrderOptions(
        map_id=options.map_id,
        order_id=order["orderId"],
        update_id=order["orderUpdateId"] + 1,
        first_sequence=last["sequenceId"],
        released=None if options.released is None else options.released + 1,
        speed=options.speed,
        deviation=options.deviation,
        description=options.description,
    )
    return make_order(headers, [here, *stops], more)


def stops_of_path(poses: Sequence[Pose], tolerance: float, names: str = "n") -> list[Stop]:
    """As few places as keep the whole path within `tolerance` metres of the lines between them.

    By Ramer, Douglas and Peucker (https://doi.org/10.3138/FM57-6770-U75U-7727), without recursion.
    """
    if len(poses) < 2:
        return [Stop(pose, f"{names}0") for pose in poses]
    kept = {0, len(poses) - 1}
    spans = [(0, len(poses) - 1)]
    while spans:
        first, last = spans.pop()
        far, place = max((_distance(poses[n], poses[first], poses[last]), n) for n in range(first, last))
        if far > tolerance:
            kept.add(place)
            spans += [(first, place), (place, last)]
    return [Stop(poses[place], f"{names}{number}") for number, place in enumerate(sorted(kept))]


def stops_of_mission(tasks: Sequence[Mapping[str, Any]]) -> list[Stop]:
    """The places of a mission's tasks, in order: one for each task whose input has `x` and `y`.

    A task without them is an action at the place before, with its input as parameters. Raises InvalidInput when the
    first task has none, or when `x`, `y` or `theta` is no number.
    """
    stops: list[Stop] = []
    for task in tasks:
        given = task["input"]
        if "x" in given or "y" in given:
            stops.append(Stop(_pose(given, task["name"]), task["name"]))
        elif not stops:
            raise InvalidInput(f"task {task['name']}: the first task of an order needs x and y in its input")
        else:
            before = stops[-1]
            stops[-1] = Stop(before.pose, before.name, [*before.actions, _action(task)])
    return stops


def instant_actions(headers: Headers, actions: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Message:
    """Actions to be done at once, whatever the order: each an id, a type such as `cancelOrder`, and parameters."""
    made = [_made_action(id, type, given, "NONE") for id, type, given in actions]
    return {**headers.next("instantActions"), "actions": made}


def as_poses(document: Any) -> list[Pose]:
    """A path in JSON: a list of `[x, y]`, `[x, y, theta]` or `{"x", "y", "theta"}`. Raises InvalidInput."""
    if not isinstance(document, list):
        raise InvalidInput("path: is no list; give a list of [x, y, theta] or of objects with x, y and theta")
    found = []
    for number, one in enumerate(document):
        if isinstance(one, list) and 2 <= len(one) <= 3:
            one = dict(zip(("x", "y", "theta"), one, strict=False))
        if not isinstance(one, Mapping):
            raise InvalidInput(f"path[{number}]: is no place; give [x, y, theta] or an object with x, y and theta")
        found.append(_pose(one, f"path[{number}]"))
    return found


def _pose(given: Mapping[str, Any], where: str) -> Pose:
    numbers = [given.get("x"), given.get("y"), given.get("theta", 0)]
    if not all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in numbers):
        raise InvalidInput(f"{where}: x, y and theta must be numbers")
    theta = given.get("theta")
    return Pose(float(given["x"]), float(given["y"]), None if theta is None else within_pi(float(theta)))


def within_pi(angle: float) -> float:
    """The same direction between -pi and pi, as messages have it."""
    turned = (angle + pi) % (2 * pi) - pi
    return max(-3.141592653, min(3.141592653, turned))


def _node(stop: Stop, place: int, released: bool, options: OrderOptions) -> Message:
    position: Message = {"x": stop.pose.x, "y": stop.pose.y, "mapId": options.map_id}
    if stop.pose.theta is not None:
        position["theta"] = stop.pose.theta
    position["allowedDeviationXY"] = {"a": options.deviation, "b": options.deviation, "theta": 0.0}
    return {
        "nodeId": stop.name,
        "sequenceId": options.first_sequence + 2 * place,
        "released": released,
        "nodePosition": position,
        "actions": list(stop.actions),
    }


def _edge(start: Stop, end: Stop, place: int, released: bool, options: OrderOptions) -> Message:
    edge: Message = {
        "edgeId": f"{start.name}-{end.name}",
        "sequenceId": options.first_sequence + 2 * place + 1,
        "released": released,
        "length": hypot(end.pose.x - start.pose.x, end.pose.y - start.pose.y),
        "actions": [],
    }
    if options.speed is not None:
        edge["maximumSpeed"] = options.speed
    return edge


def _action(task: Mapping[str, Any]) -> Message:
    return _made_action(task["id"], task["type"], task["input"], "HARD")


def _made_action(id: str, type: str, given: Mapping[str, Any], blocking: str) -> Message:
    parameters = [{"key": key, "value": value} for key, value in given.items() if value is not None]
    return {"actionId": id, "actionType": type, "blockingType": blocking, "actionParameters": parameters}


def _distance(point: Pose, start: Pose, end: Pose) -> float:
    """From a point to the line between two others, in metres."""
    along = hypot(end.x - start.x, end.y - start.y)
    if along == 0:
        return hypot(point.x - start.x, point.y - start.y)
    part = ((point.x - start.x) * (end.x - start.x) + (point.y - start.y) * (end.y - start.y)) / along**2
    part = max(0.0, min(1.0, part))
    return hypot(point.x - start.x - part * (end.x - start.x), point.y - start.y - part * (end.y - start.y))
