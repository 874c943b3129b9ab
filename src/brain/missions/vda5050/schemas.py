"""The official JSON schemas of VDA 5050 3.0.0, from a folder that the user has: they are not part of this package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from brain.errors import InvalidInput
from brain.extras import needs
from brain.missions.vda5050.checks import CHECKS, check_state, check_update
from brain.missions.vda5050.messages import Message


class Schemas:
    """The schemas in a folder: `order.schema`, `state.schema` and so on.

    Raises InvalidInput when the folder has none, MissingExtra without jsonschema.
    """

    def __init__(self, folder: str | Path) -> None:
        with needs("VDA 5050: validation by the official schemas", "vda5050"):
            import rfc3339_validator  # noqa: F401  (without it, `date-time` is not looked at)
            from jsonschema import Draft202012Validator, FormatChecker
        paths = {topic: Path(folder) / f"{topic}.schema" for topic in CHECKS}
        if not paths["order"].is_file():
            raise InvalidInput(
                f"{folder}: has no order.schema; get the folder json_schemas of VDA5050/VDA5050 at 3.0.0"
            )
        checker = FormatChecker(["date-time"])
        self._validators: dict[str, Any] = {
            topic: Draft202012Validator(msgspec.json.decode(path.read_bytes()), format_checker=checker)
            for topic, path in paths.items()
            if path.is_file()
        }

    def faults(self, topic: str, message: Message) -> Iterator[str]:
        """What the schema of the topic has against the message, each with its place."""
        if topic not in self._validators:
            yield f"topic: there is no schema for {topic!r}"
            return
        for error in self._validators[topic].iter_errors(message):
            yield f"{error.json_path.removeprefix('$.')}: {error.message}"[:500]


def faults_of(topic: str, message: Any, schemas: Schemas | None = None, order: Message | None = None) -> list[str]:
    """All that is wrong with a message: by the schemas, where there are some, and by our own checks.

    `order` is the one that an order updates, or that a state is of.
    """
    if topic not in CHECKS:
        return [f"topic: {topic!r} is none of {', '.join(CHECKS)}"]
    if not isinstance(message, dict):
        return ["the message is no object"]
    found = [] if schemas is None else list(schemas.faults(topic, message))
    if found:
        return found  # a message of another shape than the schema's cannot be looked into
    try:
        found = list(CHECKS[topic](message))
        if order is not None and topic == "order":
            found += check_update(order, message)
        elif order is not None and topic == "state":
            found = list(check_state(message, order))
        return found
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"the message has not the shape of {topic}: {type(error).__name__}: {error}"]
