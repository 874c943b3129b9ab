"""What `publish()` returns."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import msgspec

from brain.errors import BrainError

LATE = -2
"""The `seq` of an event that interrupted another publish of its thread, and is journalled when that one goes on."""


class Keeper(Protocol):
    """Who knows where an accepted event ended up: the stream, in the process that published."""

    async def position_of(self, receipt: Receipt) -> str:
        """Wait until the event is stored; its position."""

    def wait(self, receipt: Receipt, timeout: float | None) -> str:
        """The same for code without an event loop."""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The fate of one published event. `await receipt` waits until the backend has stored it and gives its position.

    `refused` is None when the event was accepted (it is journalled, and stored whatever ends), else the error.
    Awaiting a refused receipt raises that error; Unavailable is raised when the stream is closed first, and
    BegunBeforeFork in a forked child of the process that published.
    """

    event_id: str
    keeper: Keeper
    seq: int
    critical: bool
    refused: BrainError | None = None

    def __await__(self) -> Generator[object, None, str]:
        return self.keeper.position_of(self).__await__()

    def wait(self, timeout: float | None = None) -> str:
        """As `await receipt`, for code without an event loop; blocks for at most `timeout` seconds (None: for ever).

        Raises Unavailable when the event is not stored by then: it is journalled, and stored when the backend answers.
        """
        return self.keeper.wait(self, timeout)
