"""A consumer process with an inbox, which kills itself at a chosen point of a chosen event.

Its arguments: STREAM_URL EFFECTS_FILE [POINT N]. It ends by itself when its group has
handled everything, and prints how many events it found handled before.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys

from brain import Event, EventStream
from brain.stream.inbox import Inbox
from support.waiting import until

GROUP = "billing"
LEASE = 0.6


class Worker:
    def __init__(self, effects: str, point: str, number: int) -> None:
        self.db = sqlite3.connect(effects, check_same_thread=False)
        self.inbox = Inbox(self.db, consumer=GROUP)
        self.kill_at = (point, number)
        self.found_handled = 0

    def handle(self, event: Event) -> None:
        with self.db, self.inbox.once(event) as fresh:
            if fresh:
                self.db.execute("INSERT INTO effects VALUES (?)", (event.id,))
            else:
                self.found_handled += 1
            self.reached("before commit", event)
        self.reached("after commit", event)

    def reached(self, point: str, event: Event) -> None:
        if self.kill_at == (point, event.payload["n"]):
            os.kill(os.getpid(), signal.SIGKILL)


async def finished(stream: EventStream) -> bool:
    return any(group.lag == group.pending == 0 for group in await stream.groups())


async def main(url: str, effects: str, point: str = "", number: str = "-1") -> None:
    worker = Worker(effects, point, int(number))
    async with EventStream.open(url, journal=f"{effects}.journal", lease=LEASE) as stream:
        stream.consumer(GROUP, "*", worker.handle)
        consuming = asyncio.create_task(stream.run_consumers())
        await until(lambda: finished(stream))
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
    print(worker.found_handled)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
