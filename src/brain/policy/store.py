"""Where rules outlive the process: one document a rule, in a collection that several processes share."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from brain.errors import InvalidInput
from brain.policy.models import Rule
from brain.store import Document, Store

COLLECTION = "policy.rules"


class Stored(NamedTuple):
    """A rule and its document. A version alone is not enough: a key deleted and made again starts anew at 1."""

    version: int
    data: bytes
    rule: Rule


class RuleStore:
    """Rules in a Store. Methods raise Unavailable when it does not answer, Conflict when a version was overtaken."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def revision(self) -> int:
        """Grows with every change by any process."""
        return self._store.revision(COLLECTION)

    def load(self, known: dict[str, Stored]) -> dict[str, Stored]:
        """All rules by id; documents that are as `known` are not parsed again.

        Raises InvalidInput naming a document that is no valid rule: leaving a rule out could allow what it denies.
        """
        return {document.key: self._read(document, known) for document in self._store.scan(COLLECTION)}

    @staticmethod
    def _read(document: Document, known: dict[str, Stored]) -> Stored:
        before = known.get(document.key)
        if before is not None and before.version == document.version and before.data == document.data:
            return before
        try:
            plain: Any = msgspec.json.decode(document.data)
            return Stored(document.version, document.data, Rule.from_dict(plain))
        except (msgspec.DecodeError, InvalidInput) as error:
            raise InvalidInput(f"stored rule {document.key!r} cannot be read: {error}") from error

    def put(self, rule: Rule, expected: int) -> Stored:
        """Store the rule over version `expected` (0: it must be new)."""
        data = msgspec.json.encode(rule.to_dict())
        return Stored(self._store.put(COLLECTION, rule.id, data, expected), data, rule)

    def delete(self, rule_id: str, expected: int) -> bool:
        """Remove the rule at version `expected`; whether it was there."""
        return self._store.delete(COLLECTION, rule_id, expected)
