"""Chooses tasks for agents: what they can do, and what policy lets them.

What is chosen for one agent is offered to no other of this process meanwhile; against other processes only the claim
itself protects, and then another task is chosen.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import sqlalchemy as sa

from brain.errors import BrainError
from brain.kit.database import reachable, reading
from brain.kit.database_threads import for_reading
from brain.kit.protocols import EffectGuard
from brain.logs import Log
from brain.missions.bulk import document
from brain.missions.claiming import Candidate, Claim, ClaimedTask, Hold, Wanted, candidates
from brain.missions.committer import GroupCommitter

log: Log = Log("brain.missions")

AHEAD = 512
"""Candidates that are read at once, and handed out one by one."""
FRESH = 0.2
"""Seconds for which they are: then more urgent ones may have come."""
DENIED = 60.0
"""Seconds for which policy is not asked again whether an agent may have a task that it was denied."""
MOST_DENIED = 1_000

Kind = tuple[frozenset[str], frozenset[str]]


@dataclass(slots=True)
class _Ahead:
    """What was read for agents that can do the same, and has not been handed out."""

    at: float
    version: int
    all: bool  # whether there was no more
    tasks: deque[Candidate]


class Offers:
    """The tasks that agents of this process may claim next. For one event loop."""

    def __init__(
        self,
        database: sa.Engine,
        clock: Callable[[], float],
        committer: GroupCommitter,
        guard: EffectGuard | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._committer = committer
        self._guard = guard
        self._choosing = asyncio.Lock()
        self._ahead: dict[Kind, _Ahead] = {}
        self._version = 0  # rises whenever tasks become ready here
        self._offered: set[str] = set()
        self._denied: dict[str, dict[str, float]] = {}  # by agent: tasks, and until when

    async def claim(self, wanted: Wanted) -> list[ClaimedTask]:
        """Up to `wanted.most` tasks, now the agent's; empty when there are none for it."""
        taken: list[ClaimedTask] = []
        while len(taken) < wanted.most:
            chosen = await self._choose(wanted, wanted.most - len(taken))
            if not chosen:
                break
            ids = {one.id for one in chosen}
            got: list[ClaimedTask] = []
            try:
                allowed = [one.id for one in chosen if await self._is_allowed(wanted.agent, one)]
                if allowed:
                    claim = Claim(replace(wanted, most=len(allowed)), tuple(allowed))
                    got = await self._committer.submit(claim)
                    taken += got
            finally:
                self._offered -= ids
                if len(got) < len(ids):
                    self._version += 1  # what this agent did not get may be for others
        return taken

    async def _choose(self, wanted: Wanted, most: int) -> list[Candidate]:
        denied = self._denied_to(wanted.agent)
        kind = (wanted.capabilities, wanted.types)
        async with self._choosing:
            self._ahead = {known: ahead for known, ahead in self._ahead.items() if _is_fresh(ahead)}
            chosen = self._hand_out(self._ahead[kind], denied, most) if kind in self._ahead else []
            if not chosen and not self._is_known_empty(kind):
                self._ahead[kind] = ahead = await self._read(wanted, denied)
                chosen = self._hand_out(ahead, denied, most)  # however long the look took
        return chosen

    def note_ready(self) -> None:
        """Tasks became ready."""
        self._version += 1

    def _is_known_empty(self, kind: Kind) -> bool:
        """Whether a look a moment ago gave all there was, and nothing has become ready here since."""
        ahead = self._ahead.get(kind)
        return ahead is not None and ahead.all and ahead.version == self._version

    def _hand_out(self, ahead: _Ahead, denied: Collection[str], most: int) -> list[Candidate]:
        chosen: list[Candidate] = []
        while ahead.tasks and len(chosen) < most:
            one = ahead.tasks.popleft()
            if one.id not in self._offered and one.id not in denied:
                chosen.append(one)
        self._offered.update(one.id for one in chosen)
        return chosen

    async def _read(self, wanted: Wanted, denied: Collection[str]) -> _Ahead:
        version = self._version
        without = {*self._offered, *denied}

        def read() -> list[Candidate]:
            with reachable(self._database), reading(self._database).begin() as db:
                return candidates(db, wanted, without, AHEAD, self._clock())

        found = await for_reading(self._database, read)
        return _Ahead(time.monotonic(), version, len(found) < AHEAD and not denied, deque(found))

    async def _is_allowed(self, agent: str, task: Candidate) -> bool:
        if self._guard is None:
            return True
        resource = f"mission/{task.mission}/{task.name}"
        try:
            await self._guard.check(agent, f"task.{task.type}", resource, document(task.input))
        except BrainError as error:
            if error.status != 403:
                raise
            await self._refuse(agent, task, error)
            return False
        return True

    async def _refuse(self, agent: str, task: Candidate, error: BrainError) -> None:
        """Policy denies the agent this task, or asks a person first."""
        approval = getattr(error, "approval", None)
        if approval is not None:
            question = f"May {agent} do task {task.name} ({task.type})? {error}"
            await self._committer.submit(Hold(task.id, agent, approval.id, question, approval.expires_at))
            return
        log.info("policy denies an agent a task; it is left to others", agent=agent, task=task.id, reason=str(error))
        self._denied.setdefault(agent, {})[task.id] = time.monotonic() + DENIED

    def _denied_to(self, agent: str) -> dict[str, float]:
        now = time.monotonic()
        left = {id: until for id, until in self._denied.get(agent, {}).items() if until > now}
        left = dict(list(left.items())[-MOST_DENIED:])
        if left:
            self._denied[agent] = left
        else:
            self._denied.pop(agent, None)
        return left


def _is_fresh(ahead: _Ahead) -> bool:
    return time.monotonic() - ahead.at <= FRESH
