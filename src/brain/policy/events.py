from __future__ import annotations

from typing import Any

from brain.charter import EventType

EVENTS: tuple[EventType[Any], ...] = ()
