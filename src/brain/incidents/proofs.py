"""The audit log's proof of each policy decision that an incident shows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine

from brain.audit.lookup import find_logged
from brain.errors import Unavailable
from brain.logs import Log

log = Log("brain.incidents")

REMEMBERED = 10_000
"""Proofs kept in memory: what is logged stays where it is, so that one that was found need not be looked up again."""


class Proofs:
    """Looks decisions up in the audit log of the same database."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._found: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def add(self, decisions: Sequence[dict[str, Any]]) -> None:
        """Set the `proof` of these decisions, given the newest first. Blocks.

        When one is not logged yet, neither are those after it, and none of them is looked up. When the audit log cannot
        say (altered, or out of reach), the decisions are shown without proofs.
        """
        try:
            for decision in reversed(decisions):
                proof = self._proof(decision["event_id"])
                if proof is None:
                    return
                decision["proof"] = proof
        except Unavailable as error:
            log.warning("decisions are shown without proofs", error=str(error))

    def _proof(self, event_id: str) -> Mapping[str, Any] | None:
        if event_id not in self._found:
            logged = find_logged(self._database, event_id)
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
