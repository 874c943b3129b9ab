"""Where rules outlive the process: one document a rule, in a collection that several processes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from brain.errors import InvalidInput
from brain.policy.models import Rule
from brain.store import Document, Store

COLLECTION = "policy.rules"
_CHANGING = "/changing"  # no rule's id: those have no slash
_CHANGING_SECONDS = 10


class Stored(NamedTuple):
    """A rule and its document. A version alone is not enough: a key deleted and made again starts anew at 1."""

    version: int
    data: bytes
    rule: Rule


class RuleStore:
    """Rules in a Store. Methods raise Unavailable when it does not answer, Conflict when a version was overtaken."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self.has_begun = False
        self.writes = 0
        """By how much the revision grew because of this object since it was set to 0."""

    def revision(self) -> int:
        """Grows with every change by any process."""
        return self._store.revision(COLLECTION)

    def load(self, known: dict[str, Stored]) -> dict[str, Stored] | None:
        """All rules by id; documents that are as `known` are not parsed again. None while many are being changed.

        Raises InvalidInput naming a document that is no valid rule: leaving a rule out could allow what it denies.
        """
        documents = list(self._store.scan(COLLECTION))
        if documents and documents[0].key == _CHANGING:
            if self._clock() < msgspec.json.decode(documents[0].data, type=float) + _CHANGING_SECONDS:
                return None
            del documents[0]  # who was changing them has not lived to the end
        return {document.key: self._read(document, known) for document in documents}

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
        stored = Stored(self._store.put(COLLECTION, rule.id, data, expected), data, rule)
        self.writes += 1
        return stored

    def delete(self, rule_id: str, expected: int) -> bool:
        """Remove the rule at version `expected`; whether it was there."""
        deleted = self._store.delete(COLLECTION, rule_id, expected)
        self.writes += deleted
        return deleted

    def begin(self) -> None:
        """Say that many rules are being changed, so that nobody takes over half of them; holds for some seconds."""
        self._store.put(COLLECTION, _CHANGING, msgspec.json.encode(self._clock()))
        self.has_begun = True
        self.writes += 1

    def end(self) -> None:
        """Say that the change begun is complete."""
        self.has_begun = False
        self.writes += self._store.delete(COLLECTION, _CHANGING)
