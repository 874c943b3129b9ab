"""Snapshots in the tables: made, found, listed; in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, insert, select, update

from brain.dna.changes import Change
from brain.dna.events import SNAPSHOT_CREATED, SnapshotCreated
from brain.dna.models import Gene, Genes, Genome, Snapshot, Source
from brain.dna.tables import agents, karma, snapshots
from brain.errors import NotFound
from brain.kit.sql import insert_into
from brain.typed import ready


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A snapshot to be made. `trial` is its place in a study: the study's id and the trial's number."""

    agent_id: str
    genome: Genome
    genes: Genes
    source: Source
    parent: Snapshot | None = None
    reason: str = ""
    by: str | None = None
    trial: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class AgentRow:
    """What is known of an agent while its row is locked."""

    agent_id: str
    versions: int
    current: int | None


def lock_agent(db: Connection, agent_id: str) -> AgentRow:
    """The agent's row, made where it is missing; nobody else changes the agent before the transaction ends."""
    row = {"agent_id": agent_id, "versions": 0, "current": None}
    db.execute(insert_into(db, agents).on_conflict_do_nothing(), row)
    found = db.execute(select(agents).where(agents.c.agent_id == agent_id).with_for_update()).one()
    return AgentRow(found.agent_id, found.versions, found.current)


def add_snapshot(change: Change, draft: Draft) -> Snapshot:
    """Make the next version and announce it. Raises OutOfBounds, naming the genes, and InvalidInput for bad genes."""
    draft.genome.check(draft.genes)
    version = lock_agent(change.db, draft.agent_id).versions + 1
    study_id, trial = draft.trial or (None, None)
    values: dict[str, Any] = {
        "agent_id": draft.agent_id,
        "version": version,
        "dna": draft.genome.dna,
        "traits": draft.genome.traits,
        "genes": {name: msgspec.to_builtins(gene) for name, gene in draft.genes.items()},
        "genome_hash": draft.genome.hash,
        "source": draft.source.value,
        "parent_snapshot_id": draft.parent.id if draft.parent is not None else None,
        "study_id": study_id,
        "trial": trial,
        "reason": draft.reason,
        "by": draft.by,
        "correlation_id": change.correlation_id,
        "created_at": change.now,
    }
    id = change.db.execute(insert(snapshots).returning(snapshots.c.id), values).scalar_one()
    change.db.execute(update(agents).where(agents.c.agent_id == draft.agent_id).values(versions=version))
    made = Snapshot(**{**values, "id": id, "genes": dict(draft.genes)})
    change.announce(SNAPSHOT_CREATED, _created(made), draft.agent_id)
    return made


def find_snapshot(db: Connection, id: int) -> Snapshot:
    """The snapshot. Raises NotFound."""
    row = db.execute(_query().where(snapshots.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"no snapshot has the number {id}; `brain dna history AGENT` lists those of an agent")
    return snapshot_of(row)


def latest_snapshot(db: Connection, agent_id: str) -> Snapshot | None:
    """The agent's last version; None when it has none."""
    mine = snapshots.c.agent_id == agent_id
    row = db.execute(_query().where(mine).order_by(snapshots.c.version.desc()).limit(1)).one_or_none()
    return None if row is None else snapshot_of(row)


def snapshot_or_latest(db: Connection, agent_id: str, id: int | None) -> Snapshot:
    """That snapshot of the agent, or its last version. Raises NotFound."""
    found = latest_snapshot(db, agent_id) if id is None else find_snapshot(db, id)
    if found is None:
        raise NotFound(f"agent {agent_id} has no genome; `brain dna snapshot` makes its first version")
    if found.agent_id != agent_id:
        raise NotFound(f"snapshot {id} is not of agent {agent_id}, but of {found.agent_id}")
    return found


def current_id(db: Connection, agent_id: str) -> int | None:
    """The snapshot that runs; None while none was promoted."""
    found: int | None = db.execute(select(agents.c.current).where(agents.c.agent_id == agent_id)).scalar()
    return found


def list_snapshots(
    db: Connection, agent_id: str, limit: int, *, oldest_first: bool = False, before: int | None = None
) -> list[Snapshot]:
    """Snapshots of an agent, the latest first; `before`: of lower versions."""
    order = snapshots.c.version if oldest_first else snapshots.c.version.desc()
    query = _query().where(snapshots.c.agent_id == agent_id).order_by(order).limit(limit)
    if before is not None:
        query = query.where(snapshots.c.version < before)
    return [snapshot_of(row) for row in db.execute(query)]


def known_hashes(db: Connection, agent_id: str, hashes: Sequence[str]) -> set[str]:
    """Which of these are hashes of the agent's genomes."""
    table = snapshots.c
    query = select(table.genome_hash).distinct().where(table.agent_id == agent_id, table.genome_hash.in_(hashes))
    return set(db.execute(query).scalars())


def genes_of(stored: Mapping[str, Any]) -> dict[str, Gene]:
    """Genes as the tables hold them."""
    return msgspec.convert(stored, ready(dict[str, Gene]))


def last_karma(db: Connection, snapshot_id: int) -> float | None:
    """The snapshot's last karma; None for none."""
    query = select(karma.c.score).where(karma.c.snapshot_id == snapshot_id).order_by(karma.c.id.desc()).limit(1)
    found: float | None = db.execute(query).scalar()
    return found


def snapshot_of(row: Row[Any]) -> Snapshot:
    """A row of the query of this module."""
    values = dict(row._mapping)
    return Snapshot(**{**values, "genes": genes_of(values["genes"])})


def _query() -> Select[Any]:
    mine = select(karma.c.score).where(karma.c.snapshot_id == snapshots.c.id)
    score = mine.order_by(karma.c.id.desc()).limit(1).correlate(snapshots).scalar_subquery().label("karma_score")
    return select(snapshots, score)


def _created(made: Snapshot) -> SnapshotCreated:
    return {
        "snapshot_id": made.id,
        "agent_id": made.agent_id,
        "version": made.version,
        "source": made.source,
        "parent_snapshot_id": made.parent_snapshot_id,
        "genome_hash": made.genome_hash,
        "dna_size": len(made.dna),
        "traits_count": len(made.traits),
        "created_at": made.created_at,
        "reason": made.reason,
        "by": made.by,
        "study_id": made.study_id,
        "trial": made.trial,
    }
