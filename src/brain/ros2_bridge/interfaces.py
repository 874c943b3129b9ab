"""Types of services and actions, from the text of their .srv and .action files. Needs the extra `robots`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from brain.errors import InvalidInput
from brain.extras import needs
from brain.ros2_bridge.messages import typestore
from brain.ros2_bridge.settings import LinkSettings

with needs("services and actions of ROS", "robots"):
    from rosbags.interfaces import Nodetype
    from rosbags.typesys import TypesysError, get_types_from_msg

_UUID, _TIME, _GOAL_INFO = "unique_identifier_msgs/msg/UUID", "builtin_interfaces/msg/Time", "action_msgs/msg/GoalInfo"
_NAME = re.compile(r"^[A-Za-z]\w*/(srv|action)/[A-Za-z]\w*$")
_NOTHING: Final = ("structure_needs_at_least_one_member", (Nodetype.BASE, ("uint8", 0)))
"""What ROS has in a message without fields."""
CANCEL_GOAL: Final = "action_msgs/srv/CancelGoal"


def learn_types(settings: LinkSettings) -> None:
    """Know the types of the link's services and actions from now on. Raises InvalidInput for a definition that is none.

    A type without a definition is not known: a rosbridge takes what is sent as it is.
    """
    for name, service in settings.services.items():
        if service.definition is not None:
            request, answer = _parts(name, service.type, service.definition, "srv", 2)
            _register(name, {f"{service.type}_Request": request, f"{service.type}_Response": answer})
    for name, action in settings.actions.items():
        if action.definition is not None:
            goal, result, _ = _parts(name, action.type, action.definition, "action", 3)
            _register(name, {f"{action.type}_Goal": goal, f"{action.type}_Result": result})
            _register(name, _of_action(action.type))


def _of_action(type: str) -> dict[str, Any]:
    """The services that an action is made of (https://design.ros2.org/articles/actions.html)."""
    stamp = ("stamp", (Nodetype.NAME, _TIME))
    goal_id = ("goal_id", (Nodetype.NAME, _UUID))
    infos = (Nodetype.SEQUENCE, ((Nodetype.NAME, _GOAL_INFO), 0))
    return {
        f"{type}_SendGoal_Request": ([], [goal_id, ("goal", (Nodetype.NAME, f"{type}_Goal"))]),
        f"{type}_SendGoal_Response": ([], [("accepted", (Nodetype.BASE, ("bool", 0))), stamp]),
        f"{type}_GetResult_Request": ([], [goal_id]),
        f"{type}_GetResult_Response": (
            [],
            [("status", (Nodetype.BASE, ("int8", 0))), ("result", (Nodetype.NAME, f"{type}_Result"))],
        ),
        f"{CANCEL_GOAL}_Request": ([], [("goal_info", (Nodetype.NAME, _GOAL_INFO))]),
        f"{CANCEL_GOAL}_Response": (
            [],
            [("return_code", (Nodetype.BASE, ("int8", 0))), ("goals_canceling", infos)],
        ),
    }


def _parts(name: str, type: str, text: str, kind: str, count: int) -> list[Any]:
    """The fields of each part of a definition."""
    if not _NAME.match(type) or f"/{kind}/" not in type:
        raise InvalidInput(f"{name}: type {type[:100]!r} is none of a .{kind} file; write it as PACKAGE/{kind}/NAME")
    parts = re.split(r"^---[ \t]*$", text, flags=re.M)
    if len(parts) != count:
        raise InvalidInput(
            f"{name}: its definition has {len(parts)} parts; a .{kind} file has {count}, with --- between"
        )
    found = []
    for part in parts:
        try:
            ((constants, fields),) = get_types_from_msg(part.strip("\n"), "brain/msg/Part").values()
        except TypesysError as error:
            raise InvalidInput(f"{name}: its definition cannot be read: {error}") from error
        found.append((constants, fields or [_NOTHING]))
    return found


def _register(name: str, types: Mapping[str, Any]) -> None:
    known = {*typestore().types, *types}
    for _, fields in types.values():
        for field, (kind, detail) in fields:
            kind, detail = detail[0] if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE) else (kind, detail)
            if kind == Nodetype.NAME and detail not in known:
                raise InvalidInput(
                    f"{name}: its definition has {field} of type {detail}, which ROS 2 Jazzy does not have"
                )
    try:
        typestore().register(types)
    except TypesysError as error:
        raise InvalidInput(f"{name}: its type is defined in another way elsewhere: {error}") from error
