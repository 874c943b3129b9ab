"""Studies and their trials in the tables: started, taken, given results, ended; in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, and_, func, insert, select, update

from brain.dna.changes import Change
from brain.dna.events import (
    STUDY_FINISHED,
    STUDY_STARTED,
    TRIAL_EVALUATED,
    StudyFinished,
    StudyStarted,
    TrialEvaluated,
)
from brain.dna.genomes import Draft, add_snapshot, find_snapshot, genes_of
from brain.dna.models import Objective, Source, Study, StudyState, Trial, TrialState, lineage_hash
from brain.dna.outcomes import score_of
from brain.dna.sampler import LiveStudies, Step
from brain.dna.tables import studies, trials
from brain.errors import Conflict, InvalidInput, NotFound
from brain.text import clip_text
from brain.typed import ready

ENDED = (TrialState.COMPLETE.value, TrialState.PRUNED.value)
"""What counts for the budget; a failed trial does not."""
MOST_TRIALS = 10
"""Trials for each one of the budget, with those that failed."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a worker tells of a trial: a score, that it was pruned, or that it failed.

    Without a score a COMPLETE trial gets the one that was counted on the stream.
    """

    by: str
    score: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    state: TrialState = TrialState.COMPLETE

    def check(self) -> None:
        """Raises InvalidInput for numbers that are none, and for a state that is no end."""
        numbers = {"score": self.score, **{f"scores.{name}": value for name, value in self.scores.items()}}
        faults = [
            f"{name}: {value} is not a finite number; tell the trial as FAILED instead"
            for name, value in numbers.items()
            if value is not None and not isfinite(value)
        ]
        if self.state is TrialState.RUNNING:
            faults.append("state: RUNNING is no result; use COMPLETE, PRUNED or FAILED")
        if faults:
            raise InvalidInput("; ".join(faults), faults)


def start_study(change: Change, study: Study) -> Study:
    """Keep a new study, and announce it."""
    row = msgspec.to_builtins(study)
    change.db.execute(insert(studies), {**row, "steps": 0})
    payload: StudyStarted = {
        "study_id": study.id,
        "agent_id": study.agent_id,
        "owner": study.owner,
        "base_snapshot_id": study.base_snapshot_id,
        "genes": row["genes"],
        "objective": row["objective"],
        "sampler": study.sampler,
        "seed": study.seed,
        "budget": study.budget,
    }
    change.announce(STUDY_STARTED, payload, study.agent_id)
    return study


def ask_trial(change: Change, live: LiveStudies, study_id: str, by: str) -> Trial:
    """The next trial for this worker: one whose lease is over, or a new one.

    Raises NotFound, NotTheOwner, and Conflict when the study is over or all trials of its budget are given.
    """
    study, steps = _lock_study(change.db, study_id)
    study.check_writer(by)
    if study.state is not StudyState.RUNNING:
        raise Conflict(f"study {study.id} is {study.state}: it gives no more trials")
    if (again := _offer_again(change, study, by)) is not None:
        return again
    number = _check_budget(change.db, study)
    with live.taken(study, steps, lambda: steps_of(change.db, study_id)) as sampler:
        params = sampler.ask()
    base = find_snapshot(change.db, study.base_snapshot_id)
    made = add_snapshot(
        change,
        Draft(
            agent_id=study.agent_id,
            genome=base.genome.with_genes(params),
            genes=base.genes,
            source=Source.STUDY,
            parent=base,
            reason=f"trial {number} of study {study.id}",
            by=by,
            trial=(study.id, number),
        ),
    )
    row = {
        "study_id": study.id,
        "number": number,
        "snapshot_id": made.id,
        "genome_hash": made.genome_hash,
        "params": params,
        "state": TrialState.RUNNING.value,
        "scores": {},
        "attempts": 1,
        "asked_by": by,
        "asked_at": change.now,
        "asked_step": steps,
        "lease_until": change.now + study.lease_seconds,
    }
    change.db.execute(insert(trials), row)
    _count_step(change.db, study.id, steps)
    return find_trial(change.db, study.id, number)


def tell_trial(change: Change, study_id: str, number: int, result: Result) -> Trial:
    """Keep the result of a trial; the first one counts, and is what a second one is answered with.

    Raises NotFound, NotTheOwner, InvalidInput for numbers that are none, and Conflict when no score is given and too
    little was counted.
    """
    result.check()
    study, steps = _lock_study(change.db, study_id)
    study.check_writer(result.by)
    trial = find_trial(change.db, study_id, number)
    if trial.state is not TrialState.RUNNING:
        return trial
    score = result.score
    if result.state is not TrialState.COMPLETE:
        score = None
    elif score is None:
        score = score_of(change.db, study, trial.genome_hash)
    return _end_trial(change, (study, steps), trial, replace(result, score=score))


def stop_study(change: Change, study_id: str, by: str) -> Study:
    """End a study; its running trials fail. Raises NotFound, NotTheOwner, and Conflict when it is over already."""
    study, steps = _lock_study(change.db, study_id)
    study.check_writer(by)
    if study.state is not StudyState.RUNNING:
        raise Conflict(f"study {study.id} is {study.state} already")
    for trial in _running(change.db, study.id):
        _end_trial(change, (study, steps), trial, Result(by=by, state=TrialState.FAILED), last=False)
        steps += 1
    return _finish(change, study, StudyState.STOPPED)


def has_abandoned(db: Connection, before: float) -> bool:
    """Whether `fail_abandoned` would fail some."""
    return db.execute(_abandoned(before).limit(1)).first() is not None


def fail_abandoned(change: Change, before: float) -> int:
    """Fail the trials whose lease ended before this Unix time and that nobody asked for since; how many."""
    found = change.db.execute(_abandoned(before).order_by(trials.c.study_id, trials.c.number).limit(500)).all()
    for study_id, number in found:
        study, steps = _lock_study(change.db, study_id)
        trial = find_trial(change.db, study_id, number)
        if trial.state is TrialState.RUNNING and trial.lease_until < before:
            _end_trial(change, (study, steps), trial, Result(by="", state=TrialState.FAILED))
    return len(found)


def find_study(db: Connection, id: str) -> Study:
    """The study. Raises NotFound."""
    row = db.execute(select(studies).where(studies.c.id == clip_text(id))).one_or_none()
    if row is None:
        raise NotFound(f"no study has the id {id!r}; `brain dna study list` lists them")
    return _study_of(row)


def list_studies(db: Connection, agent_id: str | None, limit: int) -> list[Study]:
    """Studies, the latest first."""
    query = select(studies).order_by(studies.c.created_at.desc(), studies.c.id).limit(limit)
    if agent_id is not None:
        query = query.where(studies.c.agent_id == clip_text(agent_id))
    return [_study_of(row) for row in db.execute(query)]


def find_trial(db: Connection, study_id: str, number: int) -> Trial:
    """The trial. Raises NotFound."""
    row = db.execute(select(trials).where(_is(study_id, number))).one_or_none()
    if row is None:
        raise NotFound(f"study {study_id} has no trial {number}")
    return _trial_of(row)


def list_trials(db: Connection, study_id: str) -> list[Trial]:
    """The trials of a study, by number."""
    query = select(trials).where(trials.c.study_id == study_id).order_by(trials.c.number)
    return [_trial_of(row) for row in db.execute(query)]


def best_trial(db: Connection, study: Study) -> Trial | None:
    """The trial with the best score; of equal ones the first; None for none."""
    complete = and_(trials.c.study_id == study.id, trials.c.state == TrialState.COMPLETE.value)
    order = trials.c.score if study.objective.direction == "minimize" else trials.c.score.desc()
    row = db.execute(select(trials).where(complete).order_by(order, trials.c.number).limit(1)).one_or_none()
    return None if row is None else _trial_of(row)


def study_hash(db: Connection, study_id: str) -> str:
    """The same for the same trials with the same scores, whatever their times and numbers of snapshots."""
    return lineage_hash(
        [
            [one.number, one.genome_hash, one.state.value, one.score]
            for one in list_trials(db, study_id)
            if one.state is not TrialState.RUNNING
        ]
    )


def steps_of(db: Connection, study_id: str) -> list[Step]:
    """All steps of a study, in their order."""
    found = []
    for row in db.execute(select(trials).where(trials.c.study_id == study_id)):
        found.append(Step(row.asked_step, row.number, row.params, TrialState.RUNNING, None))
        if row.told_step is not None:
            found.append(Step(row.told_step, row.number, None, TrialState(row.state), row.score))
    return sorted(found)


def _lock_study(db: Connection, id: str) -> tuple[Study, int]:
    """The study and its steps; nobody else changes it before the transaction ends."""
    row = db.execute(select(studies).where(studies.c.id == clip_text(id)).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"no study has the id {id!r}; `brain dna study list` lists them")
    return _study_of(row), row.steps


def _offer_again(change: Change, study: Study, by: str) -> Trial | None:
    """Give a trial whose lease is over to this worker, with the same values."""
    over = and_(
        trials.c.study_id == study.id, trials.c.state == TrialState.RUNNING.value, trials.c.lease_until <= change.now
    )
    number = change.db.execute(select(trials.c.number).where(over).order_by(trials.c.number).limit(1)).scalar()
    if number is None:
        return None
    values = {"attempts": trials.c.attempts + 1, "asked_by": by, "lease_until": change.now + study.lease_seconds}
    change.db.execute(update(trials).where(_is(study.id, number)).values(values))
    return find_trial(change.db, study.id, number)


def _check_budget(db: Connection, study: Study) -> int:
    """The number of a new trial. Raises Conflict when the budget has none left."""
    query = select(trials.c.state, func.count(), func.min(trials.c.lease_until)).where(trials.c.study_id == study.id)
    counts = {state: (count, lease) for state, count, lease in db.execute(query.group_by(trials.c.state))}
    running, lease = counts.get(TrialState.RUNNING.value, (0, 0.0))
    ended = sum(counts.get(state, (0, 0.0))[0] for state in ENDED)
    if running + ended >= study.budget:
        raise Conflict(
            f"study {study.id}: all {study.budget} trials of its budget are given, {running} of them run; "
            f"ask again when a lease is over, the first at {lease:.3f}"
        )
    number: int = sum(count for count, _ in counts.values())
    if number >= MOST_TRIALS * study.budget:
        raise Conflict(f"study {study.id}: {number} trials for a budget of {study.budget}; nearly all of them failed")
    return number


def _end_trial(change: Change, locked: tuple[Study, int], trial: Trial, result: Result, *, last: bool = True) -> Trial:
    """End the trial, and the study with it when its budget is used."""
    study, steps = locked
    by = result.by or None
    values = {
        "state": result.state.value,
        "score": result.score,
        "scores": dict(result.scores),
        "told_at": change.now,
        "told_by": by,
        "told_step": steps,
    }
    change.db.execute(update(trials).where(_is(study.id, trial.number)).values(values))
    _count_step(change.db, study.id, steps)
    payload: TrialEvaluated = {
        "study_id": study.id,
        "agent_id": study.agent_id,
        "trial": trial.number,
        "snapshot_id": trial.snapshot_id,
        "genome_hash": trial.genome_hash,
        "state": result.state.value,
        "score": result.score,
        "scores": dict(result.scores),
        "duration_seconds": max(0.0, change.now - trial.asked_at),
        "by": by,
    }
    change.announce(TRIAL_EVALUATED, payload, study.agent_id)
    if last and study.state is StudyState.RUNNING and _ended(change.db, study.id) >= study.budget:
        _finish(change, study, StudyState.DONE)
    return find_trial(change.db, study.id, trial.number)


def _finish(change: Change, study: Study, state: StudyState) -> Study:
    change.db.execute(update(studies).where(studies.c.id == study.id).values(state=state.value))
    best = best_trial(change.db, study)
    payload: StudyFinished = {
        "study_id": study.id,
        "agent_id": study.agent_id,
        "state": state.value,
        "trials": _ended(change.db, study.id),
        "best_trial": best.number if best is not None else None,
        "snapshot_id": best.snapshot_id if best is not None else None,
        "score": best.score if best is not None else None,
        "lineage_hash": study_hash(change.db, study.id),
    }
    change.announce(STUDY_FINISHED, payload, study.agent_id)
    return msgspec.structs.replace(study, state=state)


def _abandoned(before: float) -> Select[Any]:
    running = trials.c.state == TrialState.RUNNING.value
    return select(trials.c.study_id, trials.c.number).where(running, trials.c.lease_until < before)


def _ended(db: Connection, study_id: str) -> int:
    counted = select(func.count()).where(trials.c.study_id == study_id, trials.c.state.in_(ENDED))
    return db.execute(counted).scalar_one()


def _running(db: Connection, study_id: str) -> list[Trial]:
    return [one for one in list_trials(db, study_id) if one.state is TrialState.RUNNING]


def _count_step(db: Connection, study_id: str, steps: int) -> None:
    db.execute(update(studies).where(studies.c.id == study_id).values(steps=steps + 1))


def _is(study_id: str, number: int) -> Any:
    return and_(trials.c.study_id == clip_text(study_id), trials.c.number == number)


def _study_of(row: Row[Any]) -> Study:
    values = dict(row._mapping)
    del values["steps"]
    objective = msgspec.convert(values["objective"], ready(Objective))
    genes, state = genes_of(values["genes"]), StudyState(values["state"])
    return Study(**{**values, "genes": genes, "objective": objective, "state": state})


def _trial_of(row: Row[Any]) -> Trial:
    values = dict(row._mapping)
    del values["asked_step"], values["told_step"]
    return Trial(**{**values, "state": TrialState(values["state"])})
