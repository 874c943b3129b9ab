"""What came of genomes on the stream: decisions, denials, errors and other numbers, by agent and genome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import Connection, select

from brain.dna.models import Outcome, Study
from brain.dna.tables import figures, outcomes, studies
from brain.errors import Conflict
from brain.kit.sql import insert_into


def find_outcome(db: Connection, agent_id: str, genome_hash: str) -> Outcome:
    """What was counted of one genome; zeros where there is nothing."""
    table = outcomes.c
    mine = select(outcomes).where(table.agent_id == agent_id, table.genome_hash == genome_hash)
    row = db.execute(mine).one_or_none()
    if row is None:
        return Outcome(genome_hash=genome_hash, decisions=0, denials=0, errors=0)
    return Outcome(genome_hash=genome_hash, decisions=row.decisions, denials=row.denials, errors=row.errors)


def list_outcomes(db: Connection, agent_id: str) -> list[Outcome]:
    """What was counted of each genome of the agent."""
    query = select(outcomes).where(outcomes.c.agent_id == agent_id).order_by(outcomes.c.genome_hash)
    return [
        Outcome(genome_hash=row.genome_hash, decisions=row.decisions, denials=row.denials, errors=row.errors)
        for row in db.execute(query)
    ]


def score_of(db: Connection, study: Study, genome_hash: str) -> float:
    """The score of a genome by the study's objective, counted on the stream.

    Raises Conflict when the objective is a score that somebody gives, or less than its `at_least` was counted.
    """
    objective = study.objective
    if objective.kind == "score":
        raise Conflict(f"study {study.id}: its objective is a score; tell it")
    if objective.kind == "metric":
        count, total = _figure(db, study, genome_hash)
        _check_enough(study, count, "events")
        values = {"count": float(count), "sum": total, "mean": total / max(count, 1)}
        return values[objective.statistic]
    found = find_outcome(db, study.agent_id, genome_hash)
    _check_enough(study, found.decisions, "decisions")
    return found.denial_rate if objective.kind == "denial_rate" else found.error_rate


def add_outcomes(db: Connection, added: Iterable[tuple[str, Outcome]]) -> None:
    """Add counts, each to what is known of that agent's genome."""
    rows = [{"agent_id": agent_id, **msgspec.to_builtins(one)} for agent_id, one in added]
    if rows:
        statement = insert_into(db, outcomes)
        names = ("decisions", "denials", "errors")
        sums = {name: outcomes.c[name] + statement.excluded[name] for name in names}
        db.execute(statement.on_conflict_do_update(index_elements=["agent_id", "genome_hash"], set_=sums), rows)


FigureKey = tuple[str, str, str, str]
"""Agent, genome hash, event type, field."""


def add_figures(db: Connection, added: Mapping[FigureKey, tuple[int, float]]) -> None:
    """Add numbers: how many, and their sum."""
    names = ("agent_id", "genome_hash", "event", "field")
    rows = [
        {**dict(zip(names, key, strict=True)), "count": count, "total": total} for key, (count, total) in added.items()
    ]
    if rows:
        statement = insert_into(db, figures)
        sums = {name: figures.c[name] + statement.excluded[name] for name in ("count", "total")}
        db.execute(statement.on_conflict_do_update(index_elements=[*names], set_=sums), rows)


def wanted_figures(db: Connection, agent_ids: Iterable[str]) -> set[tuple[str, str, str]]:
    """Agent, event type and field of every metric that a running study of these agents looks for."""
    query = select(studies.c.agent_id, studies.c.objective).where(
        studies.c.state == "RUNNING", studies.c.agent_id.in_(list(agent_ids))
    )
    return {
        (agent_id, objective["event"], objective["field"])
        for agent_id, objective in db.execute(query)
        if objective["kind"] == "metric"
    }


def _figure(db: Connection, study: Study, genome_hash: str) -> tuple[int, float]:
    table, objective = figures.c, study.objective
    mine = (table.agent_id == study.agent_id, table.genome_hash == genome_hash)
    query = select(table.count, table.total).where(
        *mine, table.event == objective.event, table.field == objective.field
    )
    row = db.execute(query).one_or_none()
    return (0, 0.0) if row is None else (row[0], row[1])


def _check_enough(study: Study, count: int, of: str) -> None:
    if count < study.objective.at_least:
        raise Conflict(
            f"study {study.id}: {count} of {study.objective.at_least} {of} of this genome are counted; "
            "tell it again later, or give a score"
        )
