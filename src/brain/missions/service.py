"""Missions as people, planners and agents work with them; each command is one transaction, synced to the disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from brain.kit.database_threads import for_tasks, for_writing
from brain.kit.idempotency import content_digest, token_for
from brain.kit.protocols import EffectGuard
from brain.missions import moves, reading
from brain.missions.agents_say import Seen, carry_out
from brain.missions.claiming import ClaimedTask, Wanted
from brain.missions.committer import GroupCommitter
from brain.missions.creating import create, start
from brain.missions.durable import durable
from brain.missions.finishing import Answer, Completion, Failure, GivenBack, Heartbeat
from brain.missions.leases_lost import send_away
from brain.missions.models import NewMission, checked_document
from brain.missions.offers import Offers
from brain.missions.settings import MissionSettings
from brain.missions.transaction import Mission, MissionTransaction
from brain.stream.change_signal import ChangeSignal

T = TypeVar("T")
Document = dict[str, Any]
Documents = list[Document]
ClaimedTasks = list[ClaimedTask]


class MissionService:
    """Commands and queries over the tables of missions. For one event loop.

    `clock` gives Unix seconds. Without a `guard` everybody may do everything. Every method raises
    Unavailable when the database does not answer.
    """

    def __init__(
        self,
        database: sa.Engine,
        settings: MissionSettings,
        clock: Callable[[], float] = time.time,
        guard: EffectGuard | None = None,
    ) -> None:
        self._ends = False
        self.ready: ChangeSignal = ChangeSignal()
        """Notified when tasks can be claimed that could not before."""
        self.settings = settings
        self.database = database
        self._clock = clock
        self._guard = guard
        self._seen: dict[str, tuple[float, frozenset[str]]] = {}
        self.committer: GroupCommitter = GroupCommitter(self._commit, settings.group_commit)
        self._offers = Offers(database, clock, self.committer, guard)

    # missions

    async def create(self, new: NewMission, key: str | None = None) -> Document:
        """Make a mission, and start it unless it says otherwise. With a `key` the same call again finds the first one.

        Raises InvalidInput for a graph that is none, Conflict when the key made one from other content, ActionDenied
        and ApprovalRequired when policy does not let `new.by` start it.
        """
        content = content_digest(new.model_dump(mode="json"))
        id = f"mis_{token_for('mission', key)}"
        if new.start:
            await self._check("mission.start", id, new.by, {"name": new.name, "tasks": len(new.tasks)})

        def work(change: MissionTransaction) -> None:
            create(change, id, new, content)
            mission = change.mission(id)
            if new.start and mission.started_at is None and mission.ended_at is None:
                start(change, mission)

        await self._change(work)
        return await self.get(id)

    async def start(self, id: str, by: str | None = None) -> Document:
        """Start a mission that is ready. Raises NotFound, Conflict, ActionDenied and ApprovalRequired."""
        found = await self.get(id)
        await self._check("mission.start", id, by, {"name": found["name"], "tasks": len(found["tasks"])})
        return await self._move(id, start)

    async def pause(self, id: str, reason: str = "", by: str | None = None) -> Document:
        """Let no other task begin. Raises NotFound and Conflict."""
        return await self._move(id, lambda change, mission: moves.pause(change, mission, reason, by))

    async def resume(self, id: str, reason: str = "", by: str | None = None) -> Document:
        """Go on with a paused mission. Raises NotFound and Conflict."""
        return await self._move(id, lambda change, mission: moves.resume(change, mission, reason, by))

    async def cancel(self, id: str, reason: str = "", by: str | None = None) -> Document:
        """Stop a mission and undo what it did; it has ended once its agents have acknowledged, or their time is over.

        Raises NotFound, Conflict, ActionDenied and ApprovalRequired.
        """
        found = await self.get(id)
        await self._check("mission.cancel", id, by, {"name": found["name"], "reason": reason})
        return await self._move(id, lambda change, mission: moves.cancel(change, mission, reason, by))

    async def retry(self, id: str, by: str | None = None) -> Document:
        """Try a failed mission again from where it failed. Raises as `start`."""
        found = await self.get(id)
        await self._check("mission.start", id, by, {"name": found["name"], "tasks": len(found["tasks"])})
        return await self._move(id, lambda change, mission: moves.retry(change, mission, by))

    async def answer(self, task: str, yes: bool, by: str, note: str = "") -> Document:
        """A person's answer to a task's question. Raises NotFound and Conflict."""
        await self._change(lambda change: moves.answer(change, change.task(task), yes, note, by))
        return await reading.read(self.database, reading.task_document, task)

    async def get(self, id: str) -> Document:
        """A mission with its tasks. Raises NotFound."""
        return await reading.read(self.database, reading.mission_document, id)

    async def list(self, statuses: Sequence[str] = (), limit: int = 100) -> Documents:
        """Missions, the latest first."""
        return await reading.read(self.database, reading.mission_documents, statuses, limit)

    async def graph(self, id: str) -> Document:
        """The nodes and edges of a mission's tasks. Raises NotFound."""
        return await reading.read(self.database, reading.graph, id)

    async def stats(self) -> Document:
        """How many missions, tasks and agents there are, by status."""
        return await reading.read(self.database, reading.stats, self._clock())

    # agents

    async def lease(self, wanted: Wanted, wait: float = 0.0) -> ClaimedTasks:
        """Tasks for an agent, as many as it wants and there are; waits up to so many seconds for the first one.

        Policy decides on each (`task.<type>`): what it denies the agent is left to others.
        """
        await self.see(wanted.agent, wanted.capabilities)
        end = asyncio.get_running_loop().time() + wait
        with self.ready.listen() as news:
            while True:
                news.clear()
                found = await self._offers.claim(wanted)
                left = end - asyncio.get_running_loop().time()
                if found or left <= 0 or self._ends:
                    return found
                try:
                    async with asyncio.timeout(min(left, LOOK)):  # for what other processes make ready
                        await news.wait()
                except TimeoutError:
                    continue

    def end_waits(self) -> None:
        """Let nobody wait for a task from here on: the server stops."""
        self._ends = True
        self.ready.notify()

    async def heartbeat(self, task: str, token: int, seconds: float = 0, progress: float | None = None) -> Answer:
        """Hold the task for longer; whether the agent must stop. Raises NotFound and LeaseLost."""
        beat = Heartbeat(task, token, seconds or self.settings.lease_seconds, progress)
        answer: Answer = await self.committer.submit(beat)
        return answer

    async def complete(self, task: str, token: int, result: Any = None) -> None:
        """The task is done. Raises NotFound, InvalidInput, and LeaseLost when the lease is over."""
        await self.committer.submit(Completion(task, token, checked_document(result, "result")))

    async def fail(self, task: str, token: int, error: str, retry: bool = True) -> None:
        """This try failed. Raises NotFound and LeaseLost."""
        await self.committer.submit(Failure(task, token, error, retry))

    async def give_back(self, task: str, token: int) -> None:
        """The agent does not go on and did nothing: also how it acknowledges that it must stop. Raises as `fail`."""
        await self.committer.submit(GivenBack(task, token))

    async def see(self, agent: str, capabilities: frozenset[str] = frozenset()) -> None:
        """The agent is there. Written now and then only, so that who asks often costs nothing."""
        at, known = self._seen.get(agent, (0.0, frozenset()))
        if known == capabilities and 0 <= self._clock() - at < self.settings.agent_seconds / 3:
            return
        await self.committer.submit(Seen(agent, capabilities))
        self._seen[agent] = (self._clock(), capabilities)

    async def unregister(self, agent: str) -> int:
        """The agent goes: its tasks go to others; how many."""
        self._seen.pop(agent, None)
        return await self._change(lambda change: send_away(change, [agent], "unregistered"))

    async def agents(self) -> Documents:
        """The agents that were ever seen, by name."""
        found = await reading.read(self.database, reading.agent_documents, self._clock())
        contained = None if self._guard is None else await self._guard.contained()
        return [{**one, "contained": None if contained is None else one["id"] in contained} for one in found]

    # inside

    async def _check(self, action: str, mission: str, by: str | None, params: Document) -> None:
        if self._guard is not None:
            await self._guard.check(by or "anonymous", action, f"mission/{mission}", params)

    async def _move(self, id: str, move: Callable[[MissionTransaction, Mission], None]) -> Document:
        await self._change(lambda change: move(change, change.mission(id)))
        return await self.get(id)

    async def _change(self, work: Callable[[MissionTransaction], T]) -> T:
        return self._note(*await for_writing(self.database, self.transact, work))

    async def _commit(self, calls: Sequence[Any]) -> Sequence[Any]:
        return self._note(*await for_tasks(self.database, self.transact, lambda change: carry_out(change, calls)))

    def transact(self, work: Callable[[MissionTransaction], T]) -> tuple[T, bool]:
        """Do the work in one transaction; what it gave, and whether tasks became ready. Blocks."""
        with durable(self.database) as db:
            change = MissionTransaction(db, self._clock(), self.settings)
            done = work(change)
            change.finish()
        return done, change.ready

    def _note(self, done: T, ready: bool) -> T:
        if ready:
            self.note_ready()
        return done

    def note_ready(self) -> None:
        """Tasks became ready: wake the agents that wait. May be called from any thread."""
        self._offers.note_ready()
        self.ready.notify()


LOOK = 2.0
"""Seconds between two looks of an agent that waits for a task: other processes may have made one ready."""
