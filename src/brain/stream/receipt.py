"""What `publish()` returns."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import msgspec

from brain.errors import BrainError

LATE = -2
"""The `seq` of an event that interrupted another publish of its thread, and is journalled when that one goes on."""


class Keeper(Protocol):
    """Who knows where an accepted event ended up: the stream."""

    async def position_of(self, receipt: Receipt) -> str:
        """Wait until the event is stored; its position."""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The fate of one published event. `await receipt` waits until the backend has stored it and gives its position.

    `refused` is None when the event was accepted (it is journalled, and stored whatever ends), else the error.
    Awaiting a refused receipt raises that error; Unavailable is raised when the stream is closed first.
    """

    event_id: str
    keeper: Keeper
    seq: int
    critical: bool
    refused: BrainError | None = None

    def __await__(self) -> Generator[object, None, str]:
        return self.keeper.position_of(self).__await__()
