"""What was made from what, and what differs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, select

from brain.dna.genomes import current_id, list_snapshots
from brain.dna.models import Snapshot, changes_between, lineage_hash
from brain.dna.tables import snapshots


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a genome."""

    snapshot_id: Annotated[int, Meta(description="The snapshot.")]
    version: Annotated[int, Meta(description="Its version.")]
    genome_hash: Annotated[str, Meta(description="Its hash.")]
    source: Annotated[str, Meta(description="manual, system, mutation, study or rollback.")]
    study_id: Annotated[str | None, Meta(description="The study that made it.")]
    trial: Annotated[int | None, Meta(description="Its trial in that study.")]
    karma_score: Annotated[float | None, Meta(description="Its last karma.")]
    runs: Annotated[bool, Meta(description="Whether it is the one that runs.")]
    created_at: Annotated[float, Meta(description="When, in Unix seconds.")]


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """From a snapshot to one that was made from it."""

    parent: Annotated[int, Meta(description="The snapshot.")]
    child: Annotated[int, Meta(description="The one that was made from it.")]
    kind: Annotated[str, Meta(description="How: manual, system, mutation, study or rollback.")]


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What was made from what, of one agent."""

    agent_id: Annotated[str, Meta(description="The agent.")]
    nodes: Annotated[list[Node], Meta(description="The versions, the first one first; of many, the latest.")]
    edges: Annotated[list[Edge], Meta(description="What was made from what.")]
    versions: Annotated[int, Meta(description="How many versions there are.")]
    lineage_hash: Annotated[str, Meta(description="Of all versions: the same for the same genomes made the same way.")]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two snapshots."""

    a: Annotated[int, Meta(description="The first one.")]
    b: Annotated[int, Meta(description="The second one.")]
    same: Annotated[bool, Meta(description="Whether they have the same configuration.")]
    changes: Annotated[
        dict[str, dict[str, Any]], Meta(description="By name the value in `a` as old and in `b` as new; null for none.")
    ]
    genes: Annotated[list[str], Meta(description="The genes whose type or bounds differ.")]


def lineage_of(db: Connection, agent_id: str, limit: int) -> Lineage:
    """The lineage of an agent, with its latest versions as nodes."""
    found = list_snapshots(db, agent_id, limit)[::-1]
    runs = current_id(db, agent_id)
    steps = lineage_steps(db, agent_id)
    return Lineage(
        agent_id=agent_id,
        nodes=[_node(one, one.id == runs) for one in found],
        edges=[
            Edge(parent=one.parent_snapshot_id, child=one.id, kind=one.source)
            for one in found
            if one.parent_snapshot_id is not None
        ],
        versions=len(steps),
        lineage_hash=lineage_hash(steps),
    )


def lineage_steps(db: Connection, agent_id: str) -> list[list[Any]]:
    """Version, hash, parent's version and source of every version: what the hash is made of."""
    table = snapshots.c
    columns = (table.id, table.version, table.genome_hash, table.parent_snapshot_id, table.source)
    rows = db.execute(select(*columns).where(table.agent_id == agent_id).order_by(table.version)).all()
    versions = {row.id: row.version for row in rows}
    return [[row.version, row.genome_hash, versions.get(row.parent_snapshot_id), row.source] for row in rows]


def difference(a: Snapshot, b: Snapshot) -> Difference:
    """What differs between the two."""
    genes = sorted(name for name in {*a.genes, *b.genes} if a.genes.get(name) != b.genes.get(name))
    return Difference(
        a=a.id,
        b=b.id,
        same=a.genome_hash == b.genome_hash,
        changes=changes_between(a.genome, b.genome),
        genes=genes,
    )


def _node(one: Snapshot, runs: bool) -> Node:
    return Node(
        snapshot_id=one.id,
        version=one.version,
        genome_hash=one.genome_hash,
        source=one.source,
        study_id=one.study_id,
        trial=one.trial,
        karma_score=one.karma_score,
        runs=runs,
        created_at=one.created_at,
    )
