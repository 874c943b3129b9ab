"""Lookup of one event in the audit log, for pages and incidents that carry the proof of a decision."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from brain.audit.checkpoint import Checkpoint
from brain.audit.proofs import prove
from brain.audit.repository import make_tables
from brain.errors import NotFound
from brain.kit.database import reachable


@dataclass(frozen=True)
class Logged:
    """An event in the log: entry `index` of the tree of `size` entries with that root; hashes in hexadecimal."""

    event_id: str
    index: int
    size: int
    root: str
    leaf_hash: str
    proof: str
    """The path of the whole proof below the server's address."""


def find_logged(database: Engine, event_id: str) -> Logged | None:
    """Where the event is logged, proven against the newest checkpoint; None while it is not. Blocks.

    Raises Unavailable when the database does not answer or the log was altered.
    """
    with reachable(database):
        make_tables(database)
        try:
            proof = prove(database, event_id)
        except NotFound:
            return None
    checkpoint = Checkpoint.parse(proof.checkpoint.rpartition("\n\n")[0] + "\n")
    return Logged(
        event_id=event_id,
        index=proof.index,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        leaf_hash=proof.leaf_hash,
        proof=f"/api/audit/proof/{event_id}",
    )
