"""Lookup of one event in the audit log, for pages and incidents that carry the proof of a decision."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from brain.audit.checkpoint import Checkpoint
from brain.audit.proofs import prove
from brain.audit.repository import make_tables
from brain.errors import NotFound
from brain.kit.database import reachable
from brain.kit.protocols import AuditProofs, LoggedEvent
from brain.plugins import PluginContext


def find_logged(database: Engine, event_id: str) -> LoggedEvent | None:
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
    return LoggedEvent(
        event_id=event_id,
        index=proof.index,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        leaf_hash=proof.leaf_hash,
        proof=f"/api/audit/proof/{event_id}",
    )


@dataclass(frozen=True)
class _ProofsIn:
    """The AuditProofs of one database."""

    database: Engine

    def find(self, event_id: str) -> LoggedEvent | None:
        return find_logged(self.database, event_id)


def audit_proofs(context: PluginContext) -> AuditProofs:
    """What other plug-ins look events up with: the audit log in the consumers' database."""
    return _ProofsIn(context.database)
