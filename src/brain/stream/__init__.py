"""The event stream: journal, backends, consumer groups, dead letters, inbox, replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.exports import lazy

if TYPE_CHECKING:
    from brain.stream.backends import GroupInfo
    from brain.stream.consumer import DeliveryOptions
    from brain.stream.dead_letters import DeadLetter
    from brain.stream.inbox import Inbox
    from brain.stream.query import Stored
    from brain.stream.receipt import Receipt
    from brain.stream.stream import BegunBeforeFork, EventStream

    Delivering = DeliveryOptions  # its name in the release before
else:
    __getattr__ = lazy(
        __name__,
        {
            "brain.stream.backends": ["GroupInfo"],
            "brain.stream.consumer": ["DeliveryOptions"],
            "brain.stream.dead_letters": ["DeadLetter"],
            "brain.stream.inbox": ["Inbox"],
            "brain.stream.query": ["Stored"],
            "brain.stream.receipt": ["Receipt"],
            "brain.stream.stream": ["BegunBeforeFork", "EventStream"],
        },
        former={"Delivering": "DeliveryOptions"},
    )

__all__ = ["BegunBeforeFork", "DeadLetter", "DeliveryOptions", "EventStream", "GroupInfo", "Inbox", "Receipt", "Stored"]
