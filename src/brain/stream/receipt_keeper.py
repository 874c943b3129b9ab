"""Where the events of this process's receipts ended up."""

from __future__ import annotations

import asyncio
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING

from brain.errors import Unavailable
from brain.stream import query

if TYPE_CHECKING:
    from brain.stream.receipt import Receipt
    from brain.stream.stream import EventStream


class ReceiptKeeper:
    """One for each process of a stream: in a forked child, the receipts of its parent are refused."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._forks = stream.forks

    async def position_of(self, receipt: Receipt) -> str:
        """Wait until the event is stored; its position. Raises what it was refused with."""
        stream = self._stream
        self._check(receipt)
        position = await asyncio.wrap_future(stream.position_when_stored(receipt))
        if position:
            return position
        found = await stream.call(query.find_event, stream.backend, receipt.event_id)
        return found.position if found is not None else ""

    def wait(self, receipt: Receipt, timeout: float | None) -> str:
        """The same for code without an event loop, for at most `timeout` seconds. Raises Unavailable after that."""
        stream = self._stream
        self._check(receipt)
        try:
            position = stream.position_when_stored(receipt).result(timeout)
        except NotYet:
            raise Unavailable(
                f"event {receipt.event_id}: not stored within {timeout:g} s; it is journalled, and stored when the "
                "backend answers"
            ) from None
        if position:
            return position
        found = query.find_event(stream.backend, receipt.event_id)
        return found.position if found is not None else ""

    def _check(self, receipt: Receipt) -> None:
        if receipt.refused is not None:
            raise receipt.refused
        self._stream.check_forks(self._forks)
