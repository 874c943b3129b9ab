"""Which genome runs: promoted, for a share or for all, and taken back; in the caller's transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from brain.charter import HealthKind, HealthSeverity
from brain.dna.changes import Change
from brain.dna.events import PROMOTED, ROLLED_BACK, Promoted, RolledBack
from brain.dna.genomes import AgentRow, Draft, add_snapshot, find_snapshot, last_karma, lock_agent
from brain.dna.models import Outcome, Rollout, RolloutState, Snapshot, Source, changes_between
from brain.dna.outcomes import find_outcome
from brain.dna.settings import DnaSettings
from brain.dna.tables import agents, rollouts, trials
from brain.errors import Conflict, NotFound
from brain.kit.protocols import HealthReport

_ACTIVE = rollouts.c.state == RolloutState.ACTIVE.value


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A promotion that was decided on: the snapshot, its baseline at that time, the share, who wants it and
    the rule that allows it."""

    snapshot: Snapshot
    baseline: Snapshot | None
    share: float
    reason: str = ""
    by: str | None = None
    rule_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Why a rollout ends: in words, with what was compared; `by` is None when its outcomes did it."""

    reason: str
    by: str | None = None
    seen: Outcome | None = None
    baseline: Outcome | None = None


def promote(change: Change, plan: Promotion) -> Rollout:
    """Let the genome run, and announce it. Raises Conflict when another genome runs than was decided on."""
    snapshot, baseline = plan.snapshot, plan.baseline
    agent = lock_agent(change.db, snapshot.agent_id)
    if agent.current != (baseline.id if baseline is not None else None):
        raise Conflict(f"agent {agent.agent_id}: another genome was promoted meanwhile; look at it and promote again")
    made = _begin(change, snapshot, baseline, share=plan.share, reason=plan.reason)
    if plan.share >= 1:
        _set_current(change.db, agent.agent_id, snapshot.id)
    payload: Promoted = {
        "agent_id": agent.agent_id,
        "rollout_id": made.id,
        "snapshot_id": snapshot.id,
        "genome_hash": snapshot.genome_hash,
        "from_snapshot_id": made.from_snapshot_id,
        "share": plan.share,
        "changes": changes_between(baseline.genome if baseline is not None else None, snapshot.genome),
        "rule_id": plan.rule_id,
        "by": plan.by,
        "score": _score(change.db, snapshot),
        "baseline_score": _score(change.db, baseline) if baseline is not None else None,
        "reason": plan.reason,
    }
    change.announce(PROMOTED, payload, agent.agent_id)
    return made


def roll_back(change: Change, agent: AgentRow, target: Snapshot | None, verdict: Verdict) -> Rollout:
    """Take the promoted genome back, for the baseline or the `target`; the rollout that begins. The agent is locked.

    Raises Conflict when there is nothing to go back to.
    """
    ended = active_rollout(change.db, agent.agent_id)
    if ended is None or (target is None and ended.from_snapshot_id is None):
        raise Conflict(f"agent {agent.agent_id}: no genome ran before the present one; promote another one instead")
    wanted = target or find_snapshot(change.db, ended.from_snapshot_id or 0)
    now_runs = wanted
    if wanted.id != agent.current:
        now_runs = _restored(change, wanted, find_snapshot(change.db, ended.snapshot_id), verdict)
        _set_current(change.db, agent.agent_id, now_runs.id)
    made = _begin(change, now_runs, None, share=1.0, reason=verdict.reason, ends=RolloutState.ROLLED_BACK)
    change.announce(ROLLED_BACK, _rolled_back(ended, now_runs, verdict), agent.agent_id)
    return made


def compare(change: Change, agent: AgentRow, rollout: Rollout, settings: DnaSettings, pending: Outcome) -> str | None:
    """Take the rollout back when it is worse than its baseline; why, or None when it may go on.

    `pending` is what was counted of the baseline and is not in the tables yet.
    """
    seen = Outcome(
        genome_hash=rollout.genome_hash,
        decisions=rollout.decisions,
        denials=rollout.denials,
        errors=rollout.errors,
    )
    baseline = _baseline(change.db, rollout, pending)
    known = baseline.decisions >= settings.baseline_decisions
    faults = [
        fault
        for name in ("denial", "error")
        if (fault := _worse(name, seen, baseline if known else None, settings)) is not None
    ]
    if not faults:
        return None
    reason = "; ".join(faults)
    roll_back(change, agent, None, Verdict(reason=reason, seen=seen, baseline=baseline if known else None))
    report = HealthReport(
        HealthSeverity.CRITICAL,
        HealthKind.PERFORMANCE_DEGRADATION,
        rollout.agent_id,
        f"genome {rollout.snapshot_id} of {rollout.agent_id} was taken back: {reason}",
        {"rollout_id": rollout.id, "snapshot_id": rollout.snapshot_id, "decisions": rollout.decisions},
        rollout.id,
    )
    change.report(report, f"dna {rollout.id}")
    return reason


def active_rollout(db: Connection, agent_id: str) -> Rollout | None:
    """What runs now; None when nothing was promoted."""
    row = db.execute(select(rollouts).where(rollouts.c.agent_id == agent_id, _ACTIVE)).one_or_none()
    return None if row is None else rollout_of(row)


def find_rollout(db: Connection, id: str) -> Rollout:
    """The rollout. Raises NotFound."""
    row = db.execute(select(rollouts).where(rollouts.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"no rollout has the id {id!r}")
    return rollout_of(row)


def list_rollouts(db: Connection, agent_id: str | None, limit: int) -> list[Rollout]:
    """Rollouts, the latest first; of all agents: those that are active."""
    query = select(rollouts).order_by(rollouts.c.started_at.desc(), rollouts.c.id).limit(limit)
    query = query.where(_ACTIVE) if agent_id is None else query.where(rollouts.c.agent_id == agent_id)
    return [rollout_of(row) for row in db.execute(query)]


def rollouts_since(db: Connection, agent_ids: Iterable[str], since: float) -> list[Rollout]:
    """The rollouts of these agents that ran at this Unix time or later."""
    table = rollouts.c
    later = or_(table.ended_at.is_(None), table.ended_at > since)
    query = select(rollouts).where(and_(table.agent_id.in_(list(agent_ids)), later)).order_by(table.started_at)
    return [rollout_of(row) for row in db.execute(query)]


def store_counts(db: Connection, counted: Iterable[Rollout]) -> None:
    """Keep what was counted since the last comparison."""
    for one in counted:
        values = {name: getattr(one, name) for name in ("decisions", "denials", "errors", "passed")}
        db.execute(update(rollouts).where(rollouts.c.id == one.id).values(values))


def rollout_of(row: Row[Any]) -> Rollout:
    """A row of the table."""
    values = dict(row._mapping)
    return Rollout(**{**values, "state": RolloutState(values["state"])})


def _begin(
    change: Change,
    snapshot: Snapshot,
    baseline: Snapshot | None,
    *,
    share: float,
    reason: str,
    ends: RolloutState = RolloutState.REPLACED,
) -> Rollout:
    """Begin a rollout; the one before it ends, so `ends` says how."""
    before = and_(rollouts.c.agent_id == snapshot.agent_id, _ACTIVE)
    change.db.execute(update(rollouts).where(before).values(state=ends.value, ended_at=change.now))
    other = baseline if baseline is not None and baseline.genome_hash != snapshot.genome_hash else None
    made = Rollout(
        id=f"ro_{secrets.token_hex(8)}",
        agent_id=snapshot.agent_id,
        snapshot_id=snapshot.id,
        genome_hash=snapshot.genome_hash,
        from_snapshot_id=other.id if other is not None else None,
        baseline_hash=other.genome_hash if other is not None else None,
        share=share,
        state=RolloutState.ACTIVE,
        watched=other is not None,
        decisions=0,
        denials=0,
        errors=0,
        passed=0,
        reason=reason,
        started_at=change.now,
        ended_at=None,
    )
    change.db.execute(insert(rollouts), msgspec.to_builtins(made))
    return made


def _restored(change: Change, wanted: Snapshot, bad: Snapshot, verdict: Verdict) -> Snapshot:
    """A new version with the genome of an old one."""
    return add_snapshot(
        change,
        Draft(
            agent_id=wanted.agent_id,
            genome=wanted.genome,
            genes=wanted.genes,
            source=Source.ROLLBACK,
            parent=bad,
            reason=f"as version {wanted.version}: {verdict.reason}",
            by=verdict.by,
        ),
    )


def _rolled_back(ended: Rollout, now_runs: Snapshot, verdict: Verdict) -> RolledBack:
    seen, baseline = verdict.seen, verdict.baseline
    return {
        "agent_id": ended.agent_id,
        "rollout_id": ended.id,
        "from_snapshot_id": ended.snapshot_id,
        "to_snapshot_id": now_runs.id,
        "genome_hash": now_runs.genome_hash,
        "reason": verdict.reason,
        "automatic": seen is not None,
        "by": verdict.by,
        "decisions": ended.decisions if seen is None else seen.decisions,
        "denial_rate": seen.denial_rate if seen is not None else _rate(ended.denials, ended.decisions),
        "error_rate": seen.error_rate if seen is not None else _rate(ended.errors, ended.decisions),
        "baseline_denial_rate": baseline.denial_rate if baseline is not None else None,
        "baseline_error_rate": baseline.error_rate if baseline is not None else None,
    }


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _worse(name: str, seen: Outcome, baseline: Outcome | None, settings: DnaSettings) -> str | None:
    """In words, how much worse it is than its baseline; None when it is not."""
    rate: float = getattr(seen, f"{name}_rate")
    words = f"{name}s {rate:.1%} of {seen.decisions} decisions"
    if baseline is None:
        return f"{words}, above {settings.without_baseline:.1%}" if rate > settings.without_baseline else None
    before: float = getattr(baseline, f"{name}_rate")
    return f"{words}, {before:.1%} before" if rate > before + settings.margin + 1e-9 else None


def _baseline(db: Connection, rollout: Rollout, pending: Outcome) -> Outcome:
    known = find_outcome(db, rollout.agent_id, rollout.baseline_hash or "")
    return Outcome(
        genome_hash=known.genome_hash,
        decisions=known.decisions + pending.decisions,
        denials=known.denials + pending.denials,
        errors=known.errors + pending.errors,
    )


def _set_current(db: Connection, agent_id: str, snapshot_id: int) -> None:
    db.execute(update(agents).where(agents.c.agent_id == agent_id).values(current=snapshot_id))


def _score(db: Connection, snapshot: Snapshot) -> float | None:
    """The score of its trial, or else its karma."""
    score: float | None = None
    if snapshot.study_id is not None:
        mine = (trials.c.study_id == snapshot.study_id, trials.c.number == snapshot.trial)
        score = db.execute(select(trials.c.score).where(*mine)).scalar()
    return score if score is not None else last_karma(db, snapshot.id)
