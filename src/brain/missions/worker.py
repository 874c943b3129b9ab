"""An agent that does tasks: leases them, holds them by heartbeats while it works, and says how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from brain.errors import BrainError, InvalidInput, NotFound, Unavailable
from brain.kit.leases import LeaseLost
from brain.logs import Log
from brain.missions.claiming import ClaimedTask, Wanted
from brain.missions.finishing import Answer
from brain.stream.retry import Backoff

log: Log = Log("brain.missions")

Handler = Callable[[ClaimedTask], Awaitable[Any]]
_GONE = (LeaseLost, NotFound)


class TaskSource(Protocol):
    """Where tasks come from: a `MissionService` in this process, or a `MissionClient`."""

    async def lease(self, wanted: Wanted, wait: float = 0.0) -> list[ClaimedTask]:
        """Tasks for an agent."""
        ...

    async def heartbeat(self, task: str, token: int, seconds: float = 0, progress: float | None = None) -> Answer:
        """Hold a task for longer."""
        ...

    async def complete(self, task: str, token: int, result: Any = None) -> None:
        """A task is done."""
        ...

    async def fail(self, task: str, token: int, error: str, retry: bool = True) -> None:
        """A try failed."""
        ...

    async def give_back(self, task: str, token: int) -> None:
        """A task is not gone on with."""
        ...


class TaskRefused(BrainError):
    """For a handler: the task can never be done, and another try would not help."""

    title = "Task refused"


class Worker:
    """Does tasks of the types that `handlers` names, up to `at_once` at the same time, until `run` is cancelled.

    A handler is given the task and returns its result, as JSON. What it raises is a failed try; `TaskRefused` is the
    last one. It is cancelled when the task's lease is lost or its mission stops: it must undo what it has half done.
    Its effect must carry the task's id, so that a second try after a kill does not do it twice.
    """

    def __init__(
        self,
        source: TaskSource,
        agent: str,
        handlers: Mapping[str, Handler],
        *,
        capabilities: frozenset[str] = frozenset(),
        at_once: int = 1,
        seconds: float = 30.0,
    ) -> None:
        self.done: int = 0
        self.lost: int = 0
        self._source = source
        self._handlers = handlers
        self._wanted = Wanted(agent, capabilities, frozenset(handlers), 1, seconds)
        self._at_once = at_once

    async def run(self, wait: float = 10.0) -> None:
        """Work until cancelled; what is being done then is given back. `wait`: how long one request waits."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._at_once):
                    group.create_task(self._work(wait))
        except* asyncio.CancelledError:
            raise

    async def run_until_idle(self) -> None:
        """Work until there is nothing for it."""
        while found := await self._source.lease(self._wanted):
            for task in found:
                await self._do(task)

    async def _work(self, wait: float) -> None:
        backoff = Backoff(0.1, 10.0)
        while True:
            try:
                found = await self._source.lease(self._wanted, wait)
            except Unavailable as error:
                log.warning("no tasks can be had now", agent=self._wanted.agent, error=str(error))
                await asyncio.sleep(backoff.next_delay())
                continue
            backoff.reset()
            for task in found:
                await self._do(task)

    async def _do(self, task: ClaimedTask) -> None:
        """Do one task, and say what became of it."""
        work = asyncio.ensure_future(self._handlers[task.type](task))
        beats = asyncio.create_task(self._hold(task, work))
        try:
            await asyncio.wait({work})
            beats.cancel()
            await self._report(task, work)
        except asyncio.CancelledError:
            beats.cancel()
            work.cancel()
            await asyncio.wait({work})
            await self._say(task, self._source.give_back(task.id, task.token))
            raise

    async def _hold(self, task: ClaimedTask, work: asyncio.Future[Any]) -> None:
        """Send heartbeats; end the work when the lease is lost or the mission stops."""
        while not work.done():
            await asyncio.sleep(self._wanted.seconds / 3)
            try:
                answer = await self._source.heartbeat(task.id, task.token, self._wanted.seconds)
                if answer.stop:
                    work.cancel()
            except _GONE:
                work.cancel()
            except Unavailable as error:
                log.warning("a heartbeat did not arrive", task=task.id, error=str(error))

    async def _report(self, task: ClaimedTask, work: asyncio.Future[Any]) -> None:
        if work.cancelled():
            await self._say(task, self._source.give_back(task.id, task.token))
            return
        error = work.exception()
        if error is None:
            try:
                if await self._say(task, self._source.complete(task.id, task.token, work.result())):
                    self.done += 1
                return
            except InvalidInput as fault:
                error = TaskRefused(f"its result cannot be kept: {fault}")
        words = f"{type(error).__name__}: {error}"[:1000]
        log.warning("a task failed", task=task.id, error=words)
        await self._say(task, self._source.fail(task.id, task.token, words, not isinstance(error, TaskRefused)))

    async def _say(self, task: ClaimedTask, saying: Awaitable[None]) -> bool:
        """Whether it was accepted. What cannot be said is left to the end of the lease."""
        try:
            await saying
        except _GONE as error:
            self.lost += 1
            log.warning("a task was lost to another agent, or its mission is over", task=task.id, error=str(error))
            return False
        except Unavailable as error:
            log.warning("what became of a task could not be said; its lease will end", task=task.id, error=str(error))
            return False
        return True
