"""Group commit: what many agents say at once is one transaction with one sync of the disk, and is answered after it.

While one group is on its way to the disk the next one gathers: nobody waits for a timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

from brain.errors import Unavailable
from brain.logs import Log

log: Log = Log("brain.missions")

Apply = Callable[[Sequence[Any]], Sequence[Any]]


class GroupCommitter:
    """Collects calls for `apply`, which carries a group of them out and gives the answer to each. For one event loop.

    `run_blocking` runs it in a thread. An answer that is an exception is raised.
    """

    def __init__(self, run_blocking: Callable[[Sequence[Any]], Any], most: int) -> None:
        self.groups: int = 0
        self.calls: int = 0
        self._run_blocking = run_blocking
        self._most = most
        self._waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self._running: asyncio.Task[None] | None = None

    async def submit(self, call: Any) -> Any:
        """The answer, once it is on the disk. Raises the answer that is an error, and Unavailable."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answered))
        if self._running is None:
            self._running = asyncio.create_task(self._commit(), context=Context())  # not of the first request
        return await answered

    async def _commit(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # let those who are ready now join the group
                group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._commit_group(group)
        finally:
            self._running = None
            self._give_up()

    async def _commit_group(self, group: Sequence[tuple[Any, asyncio.Future[Any]]]) -> None:
        try:
            answers = await self._run_blocking([call for call, _ in group])
        except Exception as error:  # noqa: BLE001  (raised to everybody who waits for it)
            answers = [error] * len(group)
        except BaseException:
            self._waiting = [*group, *self._waiting]
            raise
        self.groups += 1
        self.calls += len(group)
        for (_, answered), answer in zip(group, answers, strict=True):
            if answered.done():
                continue  # who asked has gone
            if isinstance(answer, Exception):
                answered.set_exception(answer)
            else:
                answered.set_result(answer)

    def _give_up(self) -> None:
        """The loop ends: whether these calls are stored is not known, and they can be sent again."""
        left, self._waiting = self._waiting, []
        for _, answered in left:
            if not answered.done():
                answered.set_exception(Unavailable("missions: the server ends; send the call again"))
