"""A producer in a thread of its own that publishes decisions into a stream as fast as it can."""

from __future__ import annotations

import asyncio
import threading
import time

from brain.charter import Event
from brain.policy.events import RULE_EVALUATED
from brain.stream import EventStream

BURST = 200


class Flood:
    """`count` decisions of agents `flood-0`, `flood-1`, ..., published to the stream from now on, `rate` a second."""

    def __init__(self, stream: str, count: int, rate: float) -> None:
        self._stream = stream
        self._count = count
        self._rate = rate
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="flood")
        self._thread.start()

    @property
    def under_way(self) -> bool:
        """Whether it still publishes."""
        return self._thread.is_alive()

    def wait(self) -> None:
        """Until all is stored; raises what went wrong."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._publish())
        except BaseException as error:  # noqa: BLE001  (raised by `wait`)
            self._error = error

    async def _publish(self) -> None:
        async with EventStream.open(self._stream) as stream:
            began = time.monotonic()
            for number in range(self._count):
                payload = {**RULE_EVALUATED.example, "agent_id": f"flood-{number}"}
                receipt = stream.publish(Event(type=RULE_EVALUATED.name, source=RULE_EVALUATED.source, payload=payload))
                if number % BURST == 0:
                    await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))
            await receipt
