"""What each event of the stream means for genomes: the `apply` of the projection.

A decision counts for the genome that it names (`genome` in the context, or in its `environment`), else for the one
that ran when it was made: the promoted one or its baseline, by the hash of its `instance`. Without one that is the
baseline, for as long as the promoted one is a canary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from brain import limits
from brain.charter import VERSION, Event, Pattern
from brain.dna.changes import Change
from brain.dna.genomes import AgentRow, known_hashes
from brain.dna.models import Outcome, Rollout, RolloutState
from brain.dna.outcomes import FigureKey, add_figures, add_outcomes, wanted_figures
from brain.dna.rollouts import compare, rollouts_since, store_counts
from brain.dna.settings import DnaSettings
from brain.dna.tables import agents
from brain.kit.projection import Item
from brain.kit.sql import chunks

DECISION = "policy.rule_evaluated"
HEALTH = "immune.event_published"
_FAILURES = frozenset({"ERROR_SPIKE", "AGENT_FAILURE"})


class Seen(NamedTuple):
    """What one event says of an agent."""

    event: Event
    agent_id: str
    decision: bool
    denied: bool
    error: bool
    named: str | None
    """The genome that it names, by its hash."""
    unit: str | None
    """What the share of a canary goes by."""


class DnaProjector:
    """Counts decisions, errors and numbers by genome, and takes back what is worse. `clock` gives Unix seconds."""

    def __init__(self, settings: DnaSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._errors = Pattern(settings.errors)

    def apply(self, db: Connection, items: Sequence[Item]) -> None:
        """Apply a batch in the order of the stream, in the transaction of `db`."""
        found = [seen for item in items if item.event is not None and (seen := self._read(item.event)) is not None]
        known = _lock_known(db, {seen.agent_id for seen in found})
        mine = [seen for seen in found if seen.agent_id in known]
        if mine:
            _Batch(db, self._settings, self._clock(), known, mine).apply(mine)

    def _read(self, event: Event) -> Seen | None:
        payload = event.payload
        health = event.type == HEALTH
        agent_id = payload.get("module" if health else "agent_id")
        if not isinstance(agent_id, str):
            return None
        if len(agent_id) > limits.ID or "\0" in agent_id:
            return None  # no agent with genomes has such a name
        decision = event.type == DECISION
        error = payload.get("kind") in _FAILURES if health else self._errors.matches(event.type)
        unit = _text(payload, "instance")
        denied = decision and payload.get("allowed") is False
        return Seen(event, agent_id, decision, denied, error, _text(payload, "genome"), unit)


class _Batch:
    """The events of agents that have genomes, one after the other."""

    def __init__(
        self, db: Connection, settings: DnaSettings, now: float, known: Mapping[str, AgentRow], mine: Sequence[Seen]
    ) -> None:
        self._db = db
        self._settings = settings
        self._now = now
        self._known = known
        self._since = min(seen.event.timestamp for seen in mine)
        self._rollouts: dict[str, list[Rollout]] = defaultdict(list)
        self._load()
        self._named = self._known_names(mine)
        self._wanted = wanted_figures(db, known)
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self._figures: dict[FigureKey, tuple[int, float]] = {}
        self._counted: dict[str, Rollout] = {}

    def apply(self, mine: Sequence[Seen]) -> None:
        """Count all, and keep it."""
        for seen in mine:
            self._count(seen)
        add_outcomes(self._db, ((agent_id, one) for (agent_id, _), one in self._outcomes.items()))
        add_figures(self._db, self._figures)
        store_counts(self._db, self._counted.values())

    def _count(self, seen: Seen) -> None:
        rollout = self._running(seen)
        genome_hash = self._genome(seen, rollout)
        if genome_hash is None:
            return
        self._count_figures(seen, genome_hash)
        if not (seen.decision or seen.error):
            return
        key = (seen.agent_id, genome_hash)
        self._outcomes[key] = _plus(self._outcomes.get(key) or _nothing(genome_hash), seen)
        if rollout is not None and rollout.watched and genome_hash == rollout.genome_hash:
            self._watch(rollout, seen)

    def _watch(self, rollout: Rollout, seen: Seen) -> None:
        """Count for the next comparison, and compare when there are enough decisions."""
        if rollout.state is not RolloutState.ACTIVE:
            return
        counted = msgspec.structs.replace(
            rollout,
            decisions=rollout.decisions + seen.decision,
            denials=rollout.denials + seen.denied,
            errors=rollout.errors + seen.error,
        )
        if counted.decisions >= self._settings.decisions and seen.decision:
            pending = self._outcomes.get((rollout.agent_id, rollout.baseline_hash or "")) or _nothing("")
            meta = {"correlation_id": rollout.id, "version": VERSION, "causation_id": seen.event.id}
            change = Change(self._db, self._now, meta)
            store_counts(self._db, [counted])
            if compare(change, self._agent(rollout.agent_id), counted, self._settings, pending) is not None:
                self._counted.pop(rollout.id, None)
                self._load()
                return
            counted = msgspec.structs.replace(counted, decisions=0, denials=0, errors=0, passed=counted.passed + 1)
        self._counted[rollout.id] = counted
        of_agent = self._rollouts[rollout.agent_id]
        of_agent[:] = [counted if one.id == rollout.id else one for one in of_agent]

    def _load(self) -> None:
        counted = self._counted if hasattr(self, "_counted") else {}
        self._rollouts.clear()
        for some in chunks(sorted(self._known)):
            for one in rollouts_since(self._db, some, self._since):
                self._rollouts[one.agent_id].append(counted.get(one.id, one))

    def _agent(self, agent_id: str) -> AgentRow:
        row = self._db.execute(select(agents).where(agents.c.agent_id == agent_id)).one()
        return AgentRow(row.agent_id, row.versions, row.current)

    def _running(self, seen: Seen) -> Rollout | None:
        at = seen.event.timestamp
        return next((one for one in reversed(self._rollouts[seen.agent_id]) if one.holds_at(at)), None)

    def _genome(self, seen: Seen, rollout: Rollout | None) -> str | None:
        if seen.named is not None and (seen.agent_id, seen.named) in self._named:
            return seen.named
        if rollout is None:
            return None
        return rollout.genome_hash if rollout.takes(seen.unit) else rollout.baseline_hash

    def _known_names(self, mine: Sequence[Seen]) -> set[tuple[str, str]]:
        named: dict[str, set[str]] = defaultdict(set)
        for seen in mine:
            if seen.named is not None:
                named[seen.agent_id].add(seen.named)
        return {
            (agent_id, one)
            for agent_id, hashes in named.items()
            for some in chunks(sorted(hashes))
            for one in known_hashes(self._db, agent_id, some)
        }

    def _count_figures(self, seen: Seen, genome_hash: str) -> None:
        for agent_id, event, field in self._wanted:
            if agent_id == seen.agent_id and event == seen.event.type:
                number = _number(seen.event.payload, field)
                if number is not None:
                    key = (agent_id, genome_hash, event, field)
                    count, total = self._figures.get(key, (0, 0.0))
                    self._figures[key] = (count + 1, total + number)


def _lock_known(db: Connection, agent_ids: set[str]) -> dict[str, AgentRow]:
    """Those of the agents that have genomes; nobody else changes them before the transaction ends."""
    found = {}
    for some in chunks(sorted(agent_ids)):
        query = select(agents).where(agents.c.agent_id.in_(some)).order_by(agents.c.agent_id).with_for_update()
        for row in db.execute(query):
            found[row.agent_id] = AgentRow(row.agent_id, row.versions, row.current)
    return found


def _plus(outcome: Outcome, seen: Seen) -> Outcome:
    return Outcome(
        genome_hash=outcome.genome_hash,
        decisions=outcome.decisions + seen.decision,
        denials=outcome.denials + seen.denied,
        errors=outcome.errors + seen.error,
    )


def _nothing(genome_hash: str) -> Outcome:
    return Outcome(genome_hash=genome_hash, decisions=0, denials=0, errors=0)


def _text(payload: Mapping[str, Any], name: str) -> str | None:
    """A text of a decision's context: in its environment, among its further fields, or of another payload."""
    for place in (payload.get("environment"), payload.get("extra"), payload):
        if isinstance(place, Mapping) and isinstance(found := place.get(name), str) and found:
            return found
    return None


def _number(payload: Mapping[str, Any], field: str) -> float | None:
    value: Any = payload
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else None
