"""The state of runs in the database: each move is one transaction with its event, under the run's lease."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from brain.charter import EventType
from brain.errors import Conflict, NotFound
from brain.kit.database import reading
from brain.kit.leases import LEASES, Lease, Leases
from brain.kit.outbox import put_event
from brain.kit.sql import upsert
from brain.playbooks.events import APPROVAL_REQUESTED, ENDED, ESCALATED, STEP_ENDED, STEP_STARTED
from brain.playbooks.models import CONSUMER, GOING_ON, OVER, Playbook, RunState, Step, StepState
from brain.playbooks.starting import CRITICAL_HEALTH, meta_of, put_outcome
from brain.playbooks.tables import RUNS, STEPS, make_tables
from brain.text import clip_text
from brain.typed import ready

DETAIL_CHARACTERS = 1000
LEASE = "playbook_run"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as its holder sees it, and the lease under which it may change it."""

    id: str
    playbook: Playbook
    event: Mapping[str, Any]
    subject: str
    correlation_id: str
    depth: int
    state: RunState
    step: int
    dry_run: bool
    asked: bool
    answer: bool | None
    verified: bool | None
    created_at: float
    verify_until: float | None
    token: int

    @property
    def present(self) -> Step | None:
        """The step to do next; None when all are done."""
        return self.playbook.steps[self.step] if self.step < len(self.playbook.steps) else None

    @property
    def key(self) -> str:
        """The key of the present step: the same in each attempt, other in each run."""
        return f"{self.id}-{self.step + 1}"

    @property
    def meta(self) -> dict[str, Any]:
        """The meta of what it announces and causes."""
        return meta_of(self.correlation_id, str(self.event["id"]), self.depth)


@dataclass(frozen=True)
class Begun:
    """A step that was begun before."""

    state: StepState
    attempt: int
    started_at: float


class RunRecords:
    """Runs in the database. Every method blocks, and raises Unavailable; those with a Run raise LeaseLost too."""

    def __init__(
        self, database: sa.Engine, clock: Callable[[], float] = time.time, lease_seconds: float = 10.0
    ) -> None:
        self.clock: Callable[[], float] = clock
        self.lease_seconds: float = lease_seconds
        self._database = database
        self._leases = Leases(LEASE, clock)

    def prepare(self) -> None:
        """Make the tables."""
        make_tables(self._database)

    def due(self, limit: int = 64) -> Sequence[str]:
        """The runs to look at now."""
        query = sa.select(RUNS.c.id).where(RUNS.c.due_at <= self.clock()).order_by(RUNS.c.due_at).limit(limit)
        with reading(self._database).begin() as db:
            return db.execute(query).scalars().all()

    def next_due(self) -> float | None:
        """When the next run is to be looked at, in Unix seconds."""
        with reading(self._database).begin() as db:
            return db.execute(sa.select(sa.func.min(RUNS.c.due_at))).scalar()

    def take(self, id: str, holder: str) -> Run | None:
        """The run under a new lease; None while another process has it, or when it is over."""
        with self._database.begin() as db:
            lease = self._leases.acquire(db, id, holder, self.lease_seconds)
            if lease is None:
                return None
            row = db.execute(sa.select(RUNS).where(RUNS.c.id == id)).one_or_none()
            if row is None or row.due_at is None:
                self._leases.release(db, id, lease.token)
                return None
            return _run(row, lease)

    def comes_after(self, run: Run) -> bool:
        """Whether a run of a playbook that it comes after is not over yet, for the same subject."""
        going = RUNS.c.state.in_([state.value for state in GOING_ON])
        mine = sa.and_(RUNS.c.playbook.in_(run.playbook.after), RUNS.c.subject == run.subject, RUNS.c.id != run.id)
        query = sa.select(RUNS.c.id).where(mine, going, RUNS.c.created_at <= run.created_at).limit(1)
        with reading(self._database).begin() as db:
            return db.execute(query).first() is not None

    def again(self, run: Run) -> Run:
        """The run as it is now."""
        with reading(self._database).begin() as db:
            row = db.execute(sa.select(RUNS).where(RUNS.c.id == run.id)).one()
        return _run(row, Lease(run.id, "", run.token, 0.0))

    def renew(self, run: Run) -> None:
        """Hold the lease on."""
        with self._database.begin() as db:
            self._leases.renew(db, run.id, run.token, self.lease_seconds)

    def release(self, run: Run) -> None:
        """Give the lease back."""
        with self._database.begin() as db:
            self._leases.release(db, run.id, run.token)

    def begun(self, run: Run) -> Begun | None:
        """How the present step was begun before; None when it was not."""
        with reading(self._database).begin() as db:
            row = db.execute(sa.select(STEPS).where(_step(run))).one_or_none()
        return None if row is None else Begun(StepState(row.state), row.attempt, row.started_at)

    def start_step(self, run: Run, attempt: int, rule_id: str | None) -> None:
        """Write that the effect of the present step may happen from now on."""
        step = run.present
        assert step is not None
        now = self.clock()
        row = {"run": run.id, "step": run.step, "kind": step.kind, "state": StepState.STARTED.value}
        with self._database.begin() as db:
            self._leases.check(db, run.id, run.token)
            upsert(db, STEPS, [{**row, "attempt": attempt, "detail": "", "started_at": now, "ended_at": None}])
            said = {"step": run.step + 1, "kind": step.kind, "attempt": attempt, "rule_id": rule_id}
            _put(db, STEP_STARTED, run, said, now)

    def end_step(self, run: Run, state: StepState, detail: str) -> None:
        """Write how the present step ended; after one that is done the run goes on with the next."""
        step = run.present
        assert step is not None
        now = self.clock()
        with self._database.begin() as db:
            self._leases.check(db, run.id, run.token)
            begun = db.execute(sa.select(STEPS).where(_step(run))).one_or_none()
            started_at = now if begun is None else begun.started_at
            row = {"run": run.id, "step": run.step, "kind": step.kind, "state": state.value, "started_at": started_at}
            attempt = 0 if begun is None else begun.attempt
            words = clip_text(detail, DETAIL_CHARACTERS)
            upsert(db, STEPS, [{**row, "attempt": attempt, "detail": words, "ended_at": now}])
            said = {"step": run.step + 1, "kind": step.kind, "outcome": state.value, "detail": words}
            _put(db, STEP_ENDED, run, {**said, "seconds": max(0.0, now - started_at)}, now)
            if state in (StepState.DONE, StepState.DRY_RUN):
                self._move(db, run, {**_UNASKED, "step": run.step + 1, "state": RunState.RUNNING.value, "due_at": now})

    def ask(self, run: Run, question: str) -> None:
        """Ask a person, and wait for the answer until the run's time is over."""
        now, until = self.clock(), run.created_at + run.playbook.timeout
        with self._database.begin() as db:
            self._leases.check(db, run.id, run.token)
            self._move(db, run, {"state": RunState.WAITING.value, "asked": True, "answer": None, "due_at": until})
            said = {"step": run.step + 1, "question": clip_text(question, DETAIL_CHARACTERS)}
            _put(db, APPROVAL_REQUESTED, run, said, now)

    def wait(self, run: Run, seconds: float) -> None:
        """Look again after so long: a rule asks a person, and says who."""
        with self._database.begin() as db:
            self._leases.check(db, run.id, run.token)
            self._move(db, run, {"state": RunState.WAITING.value, "due_at": self.clock() + seconds})

    def verify(self, run: Run, within: float) -> None:
        """Wait for what shows that it helped."""
        with self._database.begin() as db:
            self._leases.check(db, run.id, run.token)
            until = self.clock() + within
            self._move(db, run, {"state": RunState.VERIFYING.value, "verify_until": until, "due_at": until})

    def finish(self, run: Run, state: RunState, reason: str, verified: bool | None = None) -> None:
        """End the run; a failed one is escalated, and the healing of a critical health event gets its outcome."""
        now = self.clock()
        words = clip_text(reason, DETAIL_CHARACTERS)
        with self._database.begin() as db:
            self._leases.check(db, run.id, run.token)
            ended = {"state": state.value, "reason": words, "ended_at": now, "due_at": None, "verified": verified}
            self._move(db, run, ended)
            seconds = max(0.0, now - run.created_at)
            _put(db, ENDED, run, {"state": state.value, "verified": verified, "reason": words, "seconds": seconds}, now)
            if state is RunState.FAILED and run.playbook.escalate:
                _put(db, ESCALATED, run, {"reason": words}, now)
            if run.event["type"] == CRITICAL_HEALTH and not run.dry_run:
                healed = state is RunState.SUCCEEDED
                put_outcome(db, run.event, f"playbook {run.playbook.name}: {words}", healed, now)

    def answer(self, id: str, yes: bool, by: str) -> None:
        """A person's answer to what a run asks. Raises NotFound, and Conflict when it asks nothing, or was answered."""
        with self._database.begin() as db:
            row = db.execute(
                sa.select(RUNS.c.asked, RUNS.c.answer).where(RUNS.c.id == id).with_for_update()
            ).one_or_none()
            if row is None:
                raise NotFound(f"run {id!r} is not known; `brain playbooks runs` lists them")
            if not row.asked or (row.answer is not None and row.answer != yes):
                raise Conflict(f"run {id} asks nothing now, or was answered otherwise; `brain playbooks show {id}`")
            values = {"answer": yes, "answered_by": by, "due_at": self.clock()}
            db.execute(RUNS.update().where(RUNS.c.id == id).values(values))

    def prune(self, before: float) -> int:
        """Delete the runs that ended before this Unix time; how many."""
        old = sa.and_(RUNS.c.state.in_([state.value for state in OVER]), RUNS.c.ended_at < before)
        with self._database.begin() as db:
            ids = sa.select(RUNS.c.id).where(old)
            db.execute(STEPS.delete().where(STEPS.c.run.in_(ids)))
            db.execute(LEASES.delete().where(LEASES.c.kind == LEASE, LEASES.c.name.in_(ids)))  # no id comes again
            return db.execute(RUNS.delete().where(old)).rowcount

    def _move(self, db: sa.Connection, run: Run, values: Mapping[str, Any]) -> None:
        db.execute(RUNS.update().where(RUNS.c.id == run.id).values(values))


_UNASKED = {"asked": False, "answer": None, "answered_by": None}


def counts(db: sa.Connection) -> Mapping[str, int]:
    """How many runs there are, by state."""
    query = sa.select(RUNS.c.state, sa.func.count().label("runs")).group_by(RUNS.c.state)
    return {row.state: row.runs for row in db.execute(query)}


def _put(db: sa.Connection, declared: EventType[Any], run: Run, payload: Mapping[str, Any], now: float) -> None:
    about = {"run_id": run.id, "playbook": run.playbook.name, "subject": run.subject}
    put_event(db, CONSUMER, declared.event({**about, **payload}, meta=run.meta), now)


def _step(run: Run) -> sa.ColumnElement[bool]:
    return sa.and_(STEPS.c.run == run.id, STEPS.c.step == run.step)


def _run(row: sa.Row[Any], lease: Lease) -> Run:
    return Run(
        id=row.id,
        playbook=msgspec.convert(row.content, ready(Playbook)),
        event=row.event,
        subject=row.subject,
        correlation_id=row.correlation_id,
        depth=row.depth,
        state=RunState(row.state),
        step=row.step,
        dry_run=row.dry_run,
        asked=row.asked,
        answer=row.answer,
        verified=row.verified,
        created_at=row.created_at,
        verify_until=row.verify_until,
        token=lease.token,
    )
