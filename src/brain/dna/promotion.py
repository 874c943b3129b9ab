"""Promotion and rollback as people do it: decided on by the fleet's rules first."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, Engine

from brain import limits
from brain.dna.changes import Change, Transactions
from brain.dna.genomes import current_id, find_snapshot, lock_agent, snapshot_or_latest
from brain.dna.models import OutOfBounds, Rollout, Snapshot, changes_between
from brain.dna.rollouts import Promotion, Verdict, active_rollout, find_rollout, list_rollouts, promote, roll_back
from brain.dna.service import report_violation
from brain.dna.views import Current
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit.database_keys import KeyedRequest
from brain.kit.protocols import EffectGuard, required_guard
from brain.text import clip_text

APPLY = "dna.apply"
"""The action that the rules decide on before a genome runs."""
ROLL_BACK = "dna.rollback"
"""Likewise before a person takes one back."""


@dataclass(frozen=True, kw_only=True)
class NewPromotion:
    """A snapshot that is to run, for this share of the agent's instances."""

    snapshot_id: int
    by: str
    share: float = 1.0
    reason: str = ""


class RolloutService:
    """Commands and queries over what runs; `guard` decides before each effect.

    `clock` gives Unix seconds; `changed` is called after each command. Methods raise Unavailable when the database
    does not answer.
    """

    def __init__(
        self,
        database: Engine,
        guard: EffectGuard | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transactions = Transactions(database, clock)
        self._guard = guard

    async def promote(self, agent_id: str, new: NewPromotion, *, key: str | None = None) -> Rollout:
        """Let a genome run. With a `key` the same call again gives back the first rollout.

        Raises NotFound, InvalidInput, Conflict when it runs already, OutOfBounds, and ActionDenied or ApprovalRequired
        when the rules do not allow `dna.apply`.
        """
        agent_id = clip_text(agent_id, limits.ID)
        if not 0 < new.share <= 1:
            raise InvalidInput(f"share: {new.share} is not above 0 up to 1")
        request = KeyedRequest.of("dna promotion", key, agent_id, new.snapshot_id, new.share, new.reason, new.by)
        if request is not None and (made := await self._transactions.read(request.find)):
            return await self._transactions.read(lambda db: find_rollout(db, made))
        snapshot, baseline = await self._transactions.read(lambda db: _planned(db, agent_id, new))
        try:
            snapshot.genome.check(snapshot.genes)
        except OutOfBounds as error:
            await report_violation(self._transactions, agent_id, new.by, error)
            raise
        params = {
            "snapshot_id": snapshot.id,
            "version": snapshot.version,
            "genome_hash": snapshot.genome_hash,
            "share": new.share,
            "changes": changes_between(baseline.genome if baseline is not None else None, snapshot.genome),
        }
        rule_id = await self._decide(new.by, APPLY, agent_id, params)
        plan = Promotion(
            snapshot=snapshot,
            baseline=baseline,
            share=new.share,
            reason=clip_text(new.reason),
            by=clip_text(new.by, limits.ID),
            rule_id=rule_id,
        )
        return await self._once(request, lambda change: promote(change, plan))

    async def roll_back(
        self, agent_id: str, by: str, *, reason: str = "", snapshot_id: int | None = None, key: str | None = None
    ) -> Rollout:
        """Take the promoted genome back: for its baseline, or for a snapshot that is named.

        With a `key` the same call again gives back the first rollout. Raises NotFound, Conflict when there is nothing
        to go back to, and ActionDenied or ApprovalRequired when the rules do not allow `dna.rollback`.
        """
        agent_id = clip_text(agent_id, limits.ID)
        request = KeyedRequest.of("dna rollback", key, agent_id, by, reason, snapshot_id)
        if request is not None and (made := await self._transactions.read(request.find)):
            return await self._transactions.read(lambda db: find_rollout(db, made))
        runs = await self._transactions.read(lambda db: active_rollout(db, agent_id))
        if runs is None:
            raise NotFound(f"agent {agent_id!r} has no promoted genome; brain dna promote lets one run")
        await self._decide(by, ROLL_BACK, agent_id, {"from": runs.snapshot_id, "to": snapshot_id})

        def take_back(change: Change) -> Rollout:
            agent = lock_agent(change.db, agent_id)
            target = None if snapshot_id is None else snapshot_or_latest(change.db, agent_id, snapshot_id)
            words = clip_text(reason) or f"taken back by {by}"
            return roll_back(change, agent, target, Verdict(reason=words, by=clip_text(by, limits.ID)))

        return await self._once(request, take_back)

    async def _once(self, request: KeyedRequest | None, make: Callable[[Change], Rollout]) -> Rollout:
        return await self._transactions.write(
            lambda change: change.once(request, partial(make, change), partial(find_rollout, change.db))
        )

    async def current(self, agent_id: str, instance: str | None = None) -> Current:
        """The genome that the agent runs, or this instance of it. Raises NotFound while none was promoted."""

        agent_id = clip_text(agent_id, limits.ID)

        def query(db: Connection) -> Current:
            rollout = active_rollout(db, agent_id)
            if rollout is None:
                raise NotFound(f"agent {agent_id!r} has no promoted genome; brain dna promote lets one run")
            candidate = rollout.takes(instance)
            id = rollout.snapshot_id if candidate else rollout.from_snapshot_id
            snapshot = find_snapshot(db, id or rollout.snapshot_id)
            return Current(
                agent_id=agent_id,
                snapshot_id=snapshot.id,
                version=snapshot.version,
                genome_hash=snapshot.genome_hash,
                dna=snapshot.dna,
                traits=snapshot.traits,
                rollout_id=rollout.id,
                candidate=candidate and rollout.share < 1,
            )

        return await self._transactions.read(query)

    async def list(self, agent_id: str | None = None, limit: int = 100) -> list[Rollout]:
        """An agent's rollouts, the latest first; without an agent those that are active."""
        wanted = None if agent_id is None else clip_text(agent_id, limits.ID)
        return await self._transactions.read(lambda db: list_rollouts(db, wanted, limit))

    async def _decide(self, by: str, action: str, agent_id: str, params: dict[str, object]) -> str | None:
        """The rule that allows it. Raises ActionDenied, ApprovalRequired, and Unavailable where nothing decides."""
        guard = required_guard(self._guard, action)
        return (await guard.check(by, action, f"agent/{agent_id}", params)).rule_id


def _planned(db: Connection, agent_id: str, new: NewPromotion) -> tuple[Snapshot, Snapshot | None]:
    """The snapshot and its baseline. Raises NotFound, InvalidInput and Conflict for what cannot be promoted."""
    snapshot = snapshot_or_latest(db, agent_id, new.snapshot_id)
    runs = current_id(db, agent_id)
    if runs is None and new.share < 1:
        raise InvalidInput("share: there is no genome that the others could run; promote a first one with share 1")
    if runs == snapshot.id:
        raise Conflict(f"snapshot {snapshot.id} runs already; `brain dna rollback` ends a canary")
    return snapshot, None if runs is None else find_snapshot(db, runs)
