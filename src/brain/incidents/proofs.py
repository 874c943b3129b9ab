"""The audit log's proof of each policy decision that an incident shows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from brain.errors import Unavailable
from brain.logs import Log

if TYPE_CHECKING:
    from brain.kit.protocols import AuditProofs

log: Log = Log("brain.incidents")

REMEMBERED = 10_000
"""Proofs kept in memory: a logged event stays at its place, so that a proof that was found is not looked up again."""


class DecisionProofs:
    """Adds proofs to decisions; without an audit log (None) it adds none."""

    def __init__(self, audit: AuditProofs | None) -> None:
        self._audit = audit
        self._found: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def add(self, decisions: Sequence[dict[str, Any]]) -> None:
        """Set the `proof` of these decisions, given the newest first. Blocks.

        Events are logged in order: after the first decision that is not logged yet, no other is looked up. When the
        audit log was altered or does not answer, the decisions keep no proof and a log line says why.
        """
        if self._audit is None:
            return
        try:
            for decision in reversed(decisions):
                proof = self._proof(self._audit, decision["event_id"])
                if proof is None:
                    return
                decision["proof"] = proof
        except Unavailable as error:
            log.warning("decisions are shown without proofs: the audit log cannot be read", error=str(error))

    def _proof(self, audit: AuditProofs, event_id: str) -> Mapping[str, Any] | None:
        if event_id not in self._found:
            logged = audit.find(event_id)
            if logged is None:
                return None
            self._found[event_id] = {
                "index": logged.index,
                "size": logged.size,
                "root": logged.root,
                "leaf_hash": logged.leaf_hash,
                "url": logged.proof,
            }
            if len(self._found) > REMEMBERED:
                self._found.popitem(last=False)
        return self._found[event_id]
