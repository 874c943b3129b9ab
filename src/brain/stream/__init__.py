"""The event stream: journal, backends, consumer groups, dead letters, inbox, replay."""

from __future__ import annotations

import warnings
from typing import Any

from brain.stream.backends import GroupInfo
from brain.stream.consumer import DeliveryOptions
from brain.stream.dead_letters import DeadLetter
from brain.stream.inbox import Inbox
from brain.stream.query import Stored
from brain.stream.receipt import Receipt
from brain.stream.stream import EventStream

__all__ = ["DeadLetter", "DeliveryOptions", "EventStream", "GroupInfo", "Inbox", "Receipt", "Stored"]


def __getattr__(name: str) -> Any:
    """The old name of DeliveryOptions, for one release."""
    if name == "Delivering":
        warnings.warn(
            "Delivering is now DeliveryOptions; the old name goes with the next release", DeprecationWarning, 2
        )
        return DeliveryOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
