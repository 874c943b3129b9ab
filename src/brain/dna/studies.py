"""Studies as people and workers use them: started, trials taken and given results, stopped, looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, Engine

from brain import limits
from brain.charter import Pattern, Severity
from brain.dna.changes import Change, Transactions
from brain.dna.genomes import find_snapshot, snapshot_or_latest
from brain.dna.models import (
    Gene,
    NotTheOwner,
    Objective,
    OutOfBounds,
    Snapshot,
    Study,
    StudyState,
    Trial,
)
from brain.dna.sampler import SAMPLERS, LiveStudies
from brain.dna.service import read_genes, report_violation
from brain.dna.settings import DnaSettings
from brain.dna.trials import (
    Result,
    ask_trial,
    best_trial,
    fail_abandoned,
    find_study,
    find_trial,
    has_abandoned,
    list_studies,
    list_trials,
    start_study,
    steps_of,
    stop_study,
    study_hash,
    tell_trial,
)
from brain.errors import InvalidInput, NotFound
from brain.extras import require_extras
from brain.kit.database_keys import KeyedRequest
from brain.kit.database_threads import for_reading
from brain.kit.idempotency import token_for
from brain.kit.protocols import ThreatReport
from brain.text import clip_text

T = TypeVar("T")

_MINUTE = 60


@dataclass(frozen=True, kw_only=True)
class NewStudy:
    """A study to start: for an agent, over these genes (as JSON), from its last version unless another one is named."""

    agent_id: str
    genes: Mapping[str, Any]
    objective: Objective
    owner: str
    workers: Sequence[str] = ()
    sampler: str = "cmaes"
    seed: int = 1
    budget: int = 40
    base_snapshot_id: int | None = None
    lease_seconds: float | None = None


class TrialGenome(msgspec.Struct, frozen=True, kw_only=True):
    """A trial with the genome to try."""

    trial: Annotated[Trial, Meta(description="The trial.")]
    snapshot: Annotated[Snapshot, Meta(description="Its genome.")]


class StudyProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a study is."""

    study: Annotated[Study, Meta(description="The study.")]
    trials: Annotated[dict[str, int], Meta(description="How many trials are in which state.")]
    best: Annotated[Trial | None, Meta(description="The best trial; null for none.")]
    lineage_hash: Annotated[str, Meta(description="The same for the same trials with the same scores.")]


class StudyService:
    """Commands and queries over studies; each command is one transaction with its events.

    A write by somebody who is neither owner nor worker is refused and reported as a threat. `clock` gives Unix
    seconds; `changed` is called after each command. Methods raise Unavailable when the database does not answer.
    """

    def __init__(
        self,
        database: Engine,
        settings: DnaSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transactions = Transactions(database, clock)
        self._settings = settings
        self._live = LiveStudies()

    async def start(self, new: NewStudy, *, key: str | None = None) -> Study:
        """Start a study. With a `key` the same call again gives back the first one.

        Raises InvalidInput for bad genes, sampler or objective, OutOfBounds for genes wider than the agent's, NotFound
        for an agent without a genome, and MissingExtra.
        """
        require_extras("a study of genomes", "dna")
        genes = read_genes(new.genes)
        self._check(new, genes)
        content = msgspec.to_builtins(
            (new.agent_id, genes, new.objective, new.owner, new.sampler, new.seed, new.budget)
        )
        request = KeyedRequest.of("dna study", key, content, list(new.workers), new.base_snapshot_id, new.lease_seconds)

        def begin(change: Change) -> Study:
            base = snapshot_or_latest(change.db, clip_text(new.agent_id, limits.ID), new.base_snapshot_id)
            _check_within(genes, base)
            return start_study(change, self._study(change, new, genes, base, key))

        try:
            return await self._transactions.write(
                lambda change: change.once(request, partial(begin, change), partial(find_study, change.db))
            )
        except OutOfBounds as error:
            await report_violation(self._transactions, new.agent_id, new.owner, error)
            raise

    async def ask(self, study_id: str, by: str, *, key: str | None = None) -> TrialGenome:
        """The next trial, for as long as the study's lease. With a `key` the same call again gives the same trial.

        Raises NotFound, NotTheOwner, Conflict when there is none to give now, and MissingExtra.
        """
        require_extras("a study of genomes", "dna")
        request, by = KeyedRequest.of("dna trial", key, study_id, by), clip_text(by, limits.ID)
        if study_id not in self._live:
            # Not in a transaction: to import optuna, and to repeat a long study, takes seconds.
            known, steps = await self._transactions.read(lambda db: (find_study(db, study_id), steps_of(db, study_id)))
            await for_reading(self._transactions.database, self._live.warm_up, known, steps)

        def work(change: Change) -> TrialGenome:
            trial = change.once(
                request,
                lambda: ask_trial(change, self._live, study_id, by),
                lambda made: find_trial(change.db, study_id, int(made)),
                lambda trial: trial.number,
            )
            return TrialGenome(trial=trial, snapshot=find_snapshot(change.db, trial.snapshot_id))

        return await self._owned(study_id, by, work)

    async def tell(self, study_id: str, number: int, result: Result) -> Trial:
        """Keep the result of a trial; a second time the first result is given back.

        Raises NotFound, NotTheOwner, InvalidInput for numbers that are none, and Conflict for a score that is to be
        counted on the stream while too little is.
        """
        result = replace(result, by=clip_text(result.by, limits.ID))
        return await self._owned(study_id, result.by, lambda change: tell_trial(change, study_id, number, result))

    async def stop(self, study_id: str, by: str) -> Study:
        """End a study; trials that run fail. Raises NotFound, NotTheOwner, and Conflict when it is over."""
        return await self._owned(study_id, by, lambda change: stop_study(change, study_id, by))

    async def expire(self) -> int:
        """Fail the trials that nobody came back for; how many. A plain look when there are none."""

        def work(change: Change) -> int:
            return fail_abandoned(change, change.now - self._settings.abandoned_seconds)

        return await self._transactions.write(work)

    def is_expiry_due(self, db: Connection) -> bool:
        """Whether `expire` has something to do. Blocks."""
        return has_abandoned(db, self._transactions.clock() - self._settings.abandoned_seconds)

    async def progress(self, study_id: str) -> StudyProgress:
        """How far the study is, and its best trial. Raises NotFound."""
        return await self._transactions.read(lambda db: _progress(db, find_study(db, study_id)))

    async def trials(self, study_id: str) -> Sequence[Trial]:
        """The trials by number. Raises NotFound."""

        def query(db: Connection) -> list[Trial]:
            find_study(db, study_id)
            return list_trials(db, study_id)

        return await self._transactions.read(query)

    async def best(self, study_id: str) -> TrialGenome:
        """The trial with the best score, and its genome. Raises NotFound, also while no trial has a score."""

        def query(db: Connection) -> TrialGenome:
            trial = best_trial(db, find_study(db, study_id))
            if trial is None:
                raise NotFound(f"study {study_id} has no trial with a score yet")
            return TrialGenome(trial=trial, snapshot=find_snapshot(db, trial.snapshot_id))

        return await self._transactions.read(query)

    async def list(self, agent_id: str | None = None, limit: int = 100) -> list[Study]:
        """Studies, of one agent or of all, the latest first."""
        return await self._transactions.read(lambda db: list_studies(db, agent_id, limit))

    async def _owned(self, study_id: str, by: str, work: Callable[[Change], T]) -> T:
        """Carry out the change; one by somebody else than the owner and the workers is reported as a threat."""
        try:
            return await self._transactions.write(work, failed=lambda: self._live.forget(study_id))
        except NotTheOwner as error:
            await self._transactions.write(partial(_report_tampering, study_id=study_id, by=by, words=str(error)))
            raise

    def _check(self, new: NewStudy, genes: Mapping[str, Gene]) -> None:
        faults = []
        if not genes:
            faults.append("genes: a study needs one at least")
        if new.sampler not in SAMPLERS:
            faults.append(f"sampler: {new.sampler!r} is not one of {', '.join(SAMPLERS)}")
        if not 1 <= new.budget <= 100_000:
            faults.append(f"budget: {new.budget} is not from 1 to 100,000")
        if not new.owner.strip():
            faults.append("owner: is empty")
        if new.objective.kind == "metric":
            faults += self._metric_faults(new.objective)
        if faults:
            raise InvalidInput("; ".join(faults), faults)

    def _metric_faults(self, objective: Objective) -> Sequence[str]:
        if not objective.event or not objective.field:
            return ["objective: a metric needs an event and a field"]
        if not Pattern(self._settings.listens).matches(objective.event):
            return [f"objective.event: {objective.event!r} is not counted; add it to metrics in [dna] of brain.toml"]
        return []

    def _study(self, change: Change, new: NewStudy, genes: dict[str, Gene], base: Snapshot, key: str | None) -> Study:
        lease = self._settings.lease_seconds if new.lease_seconds is None else new.lease_seconds
        return Study(
            id=f"st_{token_for('dna study', key)}",
            agent_id=base.agent_id,
            owner=clip_text(new.owner, limits.ID),
            workers=[clip_text(name, limits.ID) for name in new.workers],
            base_snapshot_id=base.id,
            genes=genes,
            objective=new.objective,
            sampler=new.sampler,
            seed=new.seed,
            budget=new.budget,
            lease_seconds=lease,
            state=StudyState.RUNNING,
            created_at=change.now,
        )


def _check_within(genes: Mapping[str, Gene], base: Snapshot) -> None:
    """Raises OutOfBounds when a study looks outside of what the agent's genome may be."""
    faults = []
    for name, gene in genes.items():
        bound = base.genes.get(name)
        if bound is None:
            continue
        for value in gene.choices or (_typed(gene, gene.low), _typed(gene, gene.high)):
            if (fault := bound.fault_of(value)) is not None:
                faults.append(f"genes.{name}: {fault}, the agent's own bounds")
    if faults:
        raise OutOfBounds("; ".join(faults), faults)


def _typed(gene: Gene, value: float | None) -> int | float | None:
    return int(value) if gene.kind == "int" and value is not None else value


def _progress(db: Connection, study: Study) -> StudyProgress:
    counts: dict[str, int] = {}
    for trial in list_trials(db, study.id):
        counts[trial.state.value] = counts.get(trial.state.value, 0) + 1
    return StudyProgress(study=study, trials=counts, best=best_trial(db, study), lineage_hash=study_hash(db, study.id))


def _report_tampering(change: Change, study_id: str, by: str, words: str) -> None:
    """Report a refused write; those of one minute are one reading."""
    reading = f"{clip_text(study_id, limits.ID)} {int(change.now // _MINUTE)}"
    report = ThreatReport(
        type="dna_tampering",
        source=clip_text(by, limits.ID),
        severity=Severity.HIGH,
        description=words,
        reading=reading,
        metadata={"study_id": study_id},
    )
    change.report(report)
