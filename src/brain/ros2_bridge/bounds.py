"""The numbers of a command: whether they are within bounds, how fast it is, and the message with all of them 0."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from math import hypot, inf, isfinite, nan
from typing import Any

import msgspec

from brain.ros2_bridge.settings import CommandSettings

_ZERO = {"x": 0.0, "y": 0.0, "z": 0.0}
_TWIST = {"linear": _ZERO, "angular": _ZERO}
_SPEEDS = {"Twist": ("linear",), "TwistStamped": ("twist.linear",)}
_MOST = 10**300


def numbers(message: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a message but those of its header, by path."""
    if isinstance(message, Mapping):
        for name, value in message.items():
            if path or name != "header":
                yield from numbers(value, f"{path}.{name}" if path else str(name))
    elif isinstance(message, list | tuple):
        for place, value in enumerate(message):
            yield from numbers(value, f"{path}.{place}")
    elif message is None:
        yield path, nan  # a peer may read it as anything
    elif isinstance(message, int | float):
        yield path, float(message) if abs(message) < _MOST else inf


def fault_of(message: Mapping[str, Any], bounds: Mapping[str, float]) -> str | None:
    """What is beyond its bound, in words; None when nothing is."""
    for path, value in numbers(message):
        bound = max((bounds[key] for key in bounds if _below(path, key)), default=0.0)
        if not isfinite(value):
            return f"{path} is no finite number"
        if abs(value) > bound:
            return f"{path} is {value:g}, its bound is {bound:g}"
    return None


def speed_of(message: Mapping[str, Any], settings: CommandSettings) -> float | None:
    """How fast the robot would go, in m/s; None when its type does not say which numbers are a speed."""
    paths = settings.speed or _SPEEDS.get(settings.type.rpartition("/")[2])
    if paths is None:
        return None
    return hypot(*(value for path, value in numbers(message) if any(_below(path, key) for key in paths)))


def stop_message(settings: CommandSettings) -> Mapping[str, Any]:
    """The message that stops the robot."""
    if settings.stop:
        return settings.stop
    return {"twist": _TWIST} if settings.type.endswith("Stamped") else _TWIST


def digest(message: Mapping[str, Any]) -> str:
    """The same for messages whose numbers are the same, however they are written."""
    moving = sorted((path, value) for path, value in numbers(message) if value)
    return hashlib.sha256(msgspec.json.encode(moving)).hexdigest()[:16]


def _below(path: str, key: str) -> bool:
    return path == key or path.startswith(f"{key}.")
