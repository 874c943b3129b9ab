"""The healing actions of this process, by the kind of health event that they heal.

The plug-in `immune` registers and runs them. Others ask which kinds are healed, to wait for the outcome.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from brain.charter import HealthKind

ACTIONS: MutableMapping[HealthKind, Callable[[Any], Awaitable[str] | str]] = {}
"""Each action takes the HealthEvent, deals with it, and returns what it did, in words."""


def is_healed(kind: str) -> bool:
    """Whether an action for this kind of health event is registered now."""
    return kind in ACTIONS
