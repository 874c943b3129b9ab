"""What a robot's state says of the order that it carries out."""

from __future__ import annotations

from dataclasses import dataclass

from brain.missions.vda5050.messages import Message


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the robot is: 0 to 1 by nodes; whether it is done; actions that failed, and the errors that stop it."""

    share: float
    finished: bool
    failed_actions: tuple[str, ...]
    errors: tuple[str, ...]


def progress_of(order: Message, state: Message) -> Progress:
    """How far the robot is with the order. A state of another order is no progress."""
    if state.get("orderId") != order["orderId"]:
        return Progress(0.0, False, (), ())
    nodes = order["nodes"]
    left = sum(node["sequenceId"] > state["lastNodeSequenceId"] for node in nodes)
    actions = {one["actionId"]: one["actionStatus"] for one in state["actionStates"]}
    ended = all(status in ("FINISHED", "FAILED") for status in actions.values())
    current = state.get("orderUpdateId", 0) >= order["orderUpdateId"]
    finished = current and not state["nodeStates"] and not state["edgeStates"] and ended and not state["driving"]
    failed = tuple(id for id, status in actions.items() if status == "FAILED")
    errors = tuple(one["errorType"] for one in state["errors"] if one["errorLevel"] in ("CRITICAL", "FATAL"))
    return Progress(1.0 - left / len(nodes), finished, failed, errors)
