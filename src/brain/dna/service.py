"""Genomes as people and agents work with them: made, changed, judged, listed, compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, select

from brain import limits
from brain.charter import HealthKind, HealthSeverity
from brain.dna.changes import Change, Transactions
from brain.dna.events import KARMA_UPDATED, MUTATION_APPLIED, KarmaUpdated, MutationApplied
from brain.dna.genomes import (
    Draft,
    add_snapshot,
    find_snapshot,
    last_karma,
    latest_snapshot,
    list_snapshots,
    lock_agent,
    snapshot_or_latest,
)
from brain.dna.lineage import Difference, Lineage, difference, lineage_of
from brain.dna.models import Gene, Genome, OutOfBounds, Snapshot, Source, added, changes_between, check_genes
from brain.dna.outcomes import list_outcomes
from brain.dna.tables import agents, karma
from brain.dna.views import AgentState, Outcomes
from brain.errors import InvalidInput
from brain.kit.database_keys import KeyedRequest
from brain.kit.idempotency import content_digest
from brain.kit.protocols import HealthReport
from brain.text import clip_text
from brain.typed import ready

MOST_GENES = 200
"""Genes, values and traits of one genome at most."""
_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class NewSnapshot:
    """A genome to be kept as an agent's next version. Genes that are not given are those of the version before."""

    agent_id: str
    dna: Mapping[str, Any]
    traits: Mapping[str, float] = field(default_factory=dict)
    genes: Mapping[str, Any] | None = None
    source: Source = Source.MANUAL
    reason: str = ""
    by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """Changes of a genome: values that are put in, and amounts that are added to traits.

    They are made to the agent's last version, unless `parent_snapshot_id` names another one.
    """

    mutation: Mapping[str, Any] = field(default_factory=dict)
    traits_delta: Mapping[str, float] = field(default_factory=dict)
    parent_snapshot_id: int | None = None
    reason: str = ""
    by: str | None = None


class GenomeService:
    """Commands and queries over genomes; each command is one transaction with its events.

    `clock` gives Unix seconds; `changed` is called after each command. Methods raise Unavailable when the database
    does not answer.
    """

    def __init__(self, database: Engine, clock: Callable[[], float] = time.time) -> None:
        self._transactions = Transactions(database, clock)

    async def snapshot(self, new: NewSnapshot, *, key: str | None = None) -> Snapshot:
        """Keep a genome as the next version. With a `key` the same call again gives back the first one's.

        Raises InvalidInput for what is no genome, and OutOfBounds, which is reported, for one outside of its genes.
        """
        genome = _genome(new.dna, new.traits)
        genes = None if new.genes is None else read_genes(new.genes)
        agent_id = _agent(new.agent_id)
        content = (msgspec.to_builtins(genome), new.genes, agent_id, new.reason, new.by)
        request = KeyedRequest.of("dna snapshot", key, *content)

        def keep(change: Change) -> Snapshot:
            lock_agent(change.db, agent_id)
            parent = latest_snapshot(change.db, agent_id)
            draft = Draft(
                agent_id=agent_id,
                genome=genome,
                genes=genes if genes is not None else parent.genes if parent is not None else {},
                source=new.source,
                parent=parent,
                reason=clip_text(new.reason),
                by=clip_text(new.by) or None,
            )
            return add_snapshot(change, draft)

        return await self._bounded(agent_id, new.by, request, keep)

    async def mutate(self, agent_id: str, mutation: Mutation, *, key: str | None = None) -> Snapshot:
        """Make a new version by changes; a trait's amount is added to it. With a `key` the same call finds the first.

        Raises NotFound for an agent without a genome, InvalidInput for no changes or bad ones, and OutOfBounds, which
        is reported.
        """
        _check_mutation(mutation)
        id = _agent(agent_id)
        content = (id, mutation.mutation, mutation.traits_delta, mutation.parent_snapshot_id, mutation.reason)
        request = KeyedRequest.of("dna mutation", key, *content, mutation.by)
        return await self._bounded(id, mutation.by, request, lambda change: _mutated(change, id, mutation))

    async def set_karma(
        self, agent_id: str, score: float, *, snapshot_id: int | None = None, reason: str = "", by: str | None = None
    ) -> Snapshot:
        """Give a snapshot (the last version, unless one is named) a score from 0 to 1. The earlier scores stay.

        Raises NotFound, and InvalidInput for another score.
        """
        if not 0 <= score <= 1:
            raise InvalidInput(f"score: {score} is not from 0 to 1")

        def work(change: Change) -> Snapshot:
            lock_agent(change.db, _agent(agent_id))
            snapshot = snapshot_or_latest(change.db, _agent(agent_id), snapshot_id)
            before = last_karma(change.db, snapshot.id)
            row = {"snapshot_id": snapshot.id, "score": score, "reason": clip_text(reason), "at": change.now}
            change.db.execute(insert(karma), {**row, "by": clip_text(by) or None})
            payload: KarmaUpdated = {
                "snapshot_id": snapshot.id,
                "agent_id": snapshot.agent_id,
                "version": snapshot.version,
                "karma_score": score,
                "previous_score": before,
                "score_delta": None if before is None else added(score, -before),
                "updated_at": change.now,
                "reason": clip_text(reason),
                "by": clip_text(by) or None,
            }
            change.announce(KARMA_UPDATED, payload, snapshot.agent_id)
            return find_snapshot(change.db, snapshot.id)

        return await self._transactions.write(work)

    async def get(self, snapshot_id: int) -> Snapshot:
        """The snapshot of that number. Raises NotFound."""
        return await self._transactions.read(lambda db: find_snapshot(db, snapshot_id))

    async def history(self, agent_id: str, limit: int = 100, before: int | None = None) -> list[Snapshot]:
        """The agent's versions, the latest first; `before`: those of lower versions."""
        return await self._transactions.read(lambda db: list_snapshots(db, _agent(agent_id), limit, before=before))

    async def lineage(self, agent_id: str, limit: int = 1000) -> Lineage:
        """What was made from what: the latest versions as nodes, and an edge from each parent."""
        return await self._transactions.read(lambda db: lineage_of(db, _agent(agent_id), limit))

    async def diff(self, a: int, b: int) -> Difference:
        """What differs between two snapshots. Raises NotFound."""
        return await self._transactions.read(lambda db: difference(find_snapshot(db, a), find_snapshot(db, b)))

    async def outcomes(self, agent_id: str) -> Outcomes:
        """What was counted of each of the agent's genomes."""
        id = _agent(agent_id)
        return await self._transactions.read(lambda db: Outcomes(agent_id=id, genomes=list_outcomes(db, id)))

    async def agents(self, limit: int = 100) -> list[AgentState]:
        """The agents that have genomes, by name."""

        def query(db: Connection) -> list[AgentState]:
            found = db.execute(select(agents).where(agents.c.versions > 0).order_by(agents.c.agent_id).limit(limit))
            return [AgentState(row.agent_id, row.versions, row.current) for row in found]

        return await self._transactions.read(query)

    async def _bounded(
        self, agent_id: str, by: str | None, request: KeyedRequest | None, make: Callable[[Change], Snapshot]
    ) -> Snapshot:
        """Make a snapshot, once for the request; a genome out of its bounds is reported as a violation."""

        def work(change: Change) -> Snapshot:
            return change.once(request, partial(make, change), lambda made: find_snapshot(change.db, int(made)))

        try:
            return await self._transactions.write(work)
        except OutOfBounds as error:
            await report_violation(self._transactions, agent_id, by, error)
            raise


async def report_violation(transactions: Transactions, agent_id: str, by: str | None, error: OutOfBounds) -> None:
    """Report a genome out of its bounds; the same one by the same person once an hour."""

    def work(change: Change) -> None:
        report = HealthReport(
            HealthSeverity.WARNING,
            HealthKind.POLICY_VIOLATION,
            agent_id,
            clip_text(f"a genome of {agent_id} is out of its bounds: {error}", limits.TEXT),
            {"faults": list(error.faults[:50]), "by": by},
        )
        hour = int(change.now // _HOUR)
        change.report(report, f"dna bounds_{content_digest(agent_id, by, list(error.faults), hour)}")

    await transactions.write(work)


def read_genes(given: Mapping[str, Any]) -> dict[str, Gene]:
    """The genes that are given as JSON. Raises InvalidInput, naming each that is none."""
    if len(given) > MOST_GENES:
        raise InvalidInput(f"genes: {len(given)} are more than the {MOST_GENES} allowed")
    genes, faults = {}, []
    for name, value in given.items():
        try:
            genes[name] = msgspec.convert(value, ready(Gene))
        except msgspec.ValidationError as error:
            faults.append(f"genes.{clip_text(name, 100)}: {error}")
    if faults:
        raise InvalidInput("; ".join(faults[:20]), faults[:20])
    check_genes(genes)
    return genes


def _mutated(change: Change, agent_id: str, mutation: Mutation) -> Snapshot:
    lock_agent(change.db, agent_id)
    parent = snapshot_or_latest(change.db, agent_id, mutation.parent_snapshot_id)
    genome = parent.genome.mutated(mutation.mutation, mutation.traits_delta)
    genome = _genome(genome.dna, genome.traits)
    draft = Draft(
        agent_id=agent_id,
        genome=genome,
        genes=parent.genes,
        source=Source.MUTATION,
        parent=parent,
        reason=clip_text(mutation.reason),
        by=clip_text(mutation.by) or None,
    )
    made = add_snapshot(change, draft)
    payload: MutationApplied = {
        "snapshot_id": made.id,
        "agent_id": made.agent_id,
        "version": made.version,
        "parent_snapshot_id": parent.id,
        "genome_hash": made.genome_hash,
        "mutation_keys": sorted(mutation.mutation),
        "traits_delta": dict(mutation.traits_delta),
        "changes": changes_between(parent.genome, made.genome),
        "created_at": made.created_at,
        "reason": made.reason,
        "by": made.by,
    }
    change.announce(MUTATION_APPLIED, payload, agent_id)
    return made


def _genome(dna: Mapping[str, Any], traits: Mapping[str, Any]) -> Genome:
    """The genome of these values. Raises InvalidInput, naming each that is none."""
    faults = [f"traits.{name}: {value!r} is not a number" for name, value in traits.items() if not _is_number(value)]
    faults += [f"dna: {fault}" for fault in (limits.fault_of(dict(dna)),) if fault is not None]
    if len(dna) > MOST_GENES or len(traits) > MOST_GENES:
        faults.append(f"dna: more than {MOST_GENES} values or traits; keep a reference instead")
    faults += [
        f"dna.{name}: a name that begins with traits. is a trait's" for name in dna if name.startswith("traits.")
    ]
    if faults:
        raise InvalidInput("; ".join(faults[:20]), faults[:20])
    return Genome(dna=dict(dna), traits={name: float(value) for name, value in traits.items()})


def _check_mutation(mutation: Mutation) -> None:
    if not mutation.mutation and not mutation.traits_delta:
        raise InvalidInput("mutation: nothing is changed; give values, or amounts in traits_delta")
    faults = [
        f"traits_delta.{name}: {value!r} is not a number"
        for name, value in mutation.traits_delta.items()
        if not _is_number(value)
    ]
    if faults:
        raise InvalidInput("; ".join(faults[:20]), faults[:20])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _agent(agent_id: str) -> str:
    """The id as the tables have it. Raises InvalidInput for one that is empty or too long."""
    found = clip_text(agent_id, limits.ID + 1)
    if not 0 < len(found) <= limits.ID:
        raise InvalidInput(f"agent_id: needs 1 to {limits.ID} characters")
    return found
