"""Reads runs, their steps, and what was stopped; for the API and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from brain.errors import NotFound
from brain.kit.database import reachable, reading
from brain.playbooks.models import Playbook
from brain.playbooks.tables import RUNS, STEPS, STOPS, make_tables


class PlaybookRow(msgspec.Struct, frozen=True):
    """A playbook that is loaded."""

    name: Annotated[str, Meta(description="Its name; rules know it as the agent playbook:NAME.")]
    description: Annotated[str, Meta(description="What it is for.")]
    trigger: Annotated[list[str], Meta(description="The event types that start it.")]
    steps: Annotated[list[str], Meta(description="The kinds of its steps, in order.")]
    cooldown: Annotated[float, Meta(description="Seconds before it starts again for the same subject.")]
    per_hour: Annotated[int, Meta(description="Most runs in an hour.")]
    approval: Annotated[bool, Meta(description="Whether a person permits each run.")]
    dry_run: Annotated[bool, Meta(description="Whether nothing is done.")]


class StepRow(msgspec.Struct, frozen=True):
    """A step that was begun."""

    step: Annotated[int, Meta(description="Its number, from 1.")]
    kind: Annotated[str, Meta(description="Its kind, such as contain or restart.")]
    state: Annotated[str, Meta(description="STARTED, DONE, FAILED, DENIED, UNCERTAIN or DRY_RUN.")]
    attempt: Annotated[int, Meta(description="How often its effect was begun; 0: never.")]
    detail: Annotated[str, Meta(description="What was done, or why not.")]
    started_at: Annotated[float, Meta(description="In Unix seconds.")]
    ended_at: Annotated[float | None, Meta(description="In Unix seconds; null: not yet.")]


class RunRow(msgspec.Struct, frozen=True):
    """A run of a playbook."""

    id: Annotated[str, Meta(description="The run's id.")]
    playbook: Annotated[str, Meta(description="The playbook's name.")]
    subject: Annotated[str, Meta(description="Whom it is about; empty when nobody.")]
    state: Annotated[str, Meta(description="RUNNING, WAITING, VERIFYING, SUCCEEDED or FAILED.")]
    reason: Annotated[str, Meta(description="Why it ended so; empty before that.")]
    verified: Annotated[bool | None, Meta(description="Whether it helped; null when that is not known.")]
    dry_run: Annotated[bool, Meta(description="Whether nothing is done.")]
    asked: Annotated[bool, Meta(description="Whether it waits for a person's answer, or had it for the present step.")]
    depth: Annotated[int, Meta(description="1, and 1 more for each playbook whose events led here.")]
    correlation_id: Annotated[str, Meta(description="The correlation id of all of its events.")]
    trigger: Annotated[str, Meta(description="The type of the event that started it.")]
    created_at: Annotated[float, Meta(description="In Unix seconds.")]
    ended_at: Annotated[float | None, Meta(description="In Unix seconds; null: not yet.")]
    steps: Annotated[list[StepRow], Meta(description="The steps that were begun.")]


class StopRow(msgspec.Struct, frozen=True):
    """What a budget or the cool-down stopped."""

    playbook: Annotated[str, Meta(description="The playbook's name.")]
    subject: Annotated[str, Meta(description="The subject that cools down; empty for budgets.")]
    reason: Annotated[str, Meta(description="cooldown, playbook_budget, correlation_budget, total_budget or depth.")]
    since: Annotated[float, Meta(description="When it was announced, in Unix seconds.")]
    last_at: Annotated[float, Meta(description="The last time, in Unix seconds.")]
    count: Annotated[int, Meta(description="How often within the hour.")]


def playbook_rows(playbooks: Sequence[Playbook]) -> list[PlaybookRow]:
    """The playbooks, as they are listed."""
    return [
        PlaybookRow(
            one.name,
            one.description,
            [*one.trigger],
            [step.kind for step in one.steps],
            one.cooldown,
            one.per_hour,
            one.approval,
            one.dry_run,
        )
        for one in playbooks
    ]


def read_runs(database: sa.Engine, limit: int) -> list[RunRow]:
    """The last runs, the newest first. Blocks. Raises Unavailable."""
    make_tables(database)
    with reachable(database), reading(database).begin() as db:
        return _rows(db, sa.select(RUNS).order_by(RUNS.c.created_at.desc(), RUNS.c.id).limit(limit))


def read_run(database: sa.Engine, id: str) -> RunRow:
    """One run. Blocks. Raises NotFound and Unavailable."""
    make_tables(database)
    with reachable(database), reading(database).begin() as db:
        found = _rows(db, sa.select(RUNS).where(RUNS.c.id == id))
    if not found:
        raise NotFound(f"run {id!r} is not known; `brain playbooks runs` lists them")
    return found[0]


def read_stops(database: sa.Engine, limit: int) -> list[StopRow]:
    """What was stopped, the last first. Blocks. Raises Unavailable."""
    make_tables(database)
    columns = [STOPS.c[name] for name in StopRow.__struct_fields__]
    with reachable(database), reading(database).begin() as db:
        return [StopRow(*row) for row in db.execute(sa.select(*columns).order_by(STOPS.c.last_at.desc()).limit(limit))]


def _rows(db: sa.Connection, query: sa.Select[Any]) -> list[RunRow]:
    runs = db.execute(query).all()
    steps: dict[str, list[StepRow]] = {row.id: [] for row in runs}
    for row in db.execute(sa.select(STEPS).where(STEPS.c.run.in_(steps)).order_by(STEPS.c.run, STEPS.c.step)):
        about = (row.kind, row.state, row.attempt, row.detail, row.started_at, row.ended_at)
        steps[row.run].append(StepRow(row.step + 1, *about))
    same = [name for name in RunRow.__struct_fields__ if name not in ("trigger", "steps")]
    return [
        RunRow(**{name: getattr(row, name) for name in same}, trigger=row.event["type"], steps=steps[row.id])
        for row in runs
    ]
