"""The event stream: journal, backends, consumer groups, dead letters, inbox, replay."""

from __future__ import annotations

from brain.stream.backends import DeadLetter, GroupInfo
from brain.stream.consumer import Delivering
from brain.stream.inbox import Inbox
from brain.stream.query import Stored
from brain.stream.receipt import Receipt
from brain.stream.stream import EventStream

__all__ = ["DeadLetter", "Delivering", "EventStream", "GroupInfo", "Inbox", "Receipt", "Stored"]
