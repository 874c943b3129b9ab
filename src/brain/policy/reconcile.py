"""Compares the stored rules and measures with the events of their changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from brain.charter import Event
from brain.kit.reconciliation import NO_EVENT, NO_STATE, Reconciled
from brain.policy.events import RULE_CREATED, RULE_DELETED, RULE_DISABLED, RULE_ENABLED, RULE_UPDATED
from brain.policy.history import History
from brain.policy.measures import HISTORY
from brain.policy.models import Rule
from brain.policy.stored_rules import read_rules
from brain.store import Store


class RuleReconciliation:
    """Each rule as stored must be what its last event says. Raises Unavailable."""

    subject = "rules"
    event_types: Sequence[str] = tuple(
        one.name for one in (RULE_CREATED, RULE_UPDATED, RULE_ENABLED, RULE_DISABLED, RULE_DELETED)
    )

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rules = self._stored()
        self._said: dict[str, Event] = {}

    def take(self, event: Event) -> None:
        """Note what the event says."""
        self._said[str(event.payload.get("rule_id"))] = event

    def reconciled(self, since: float) -> Reconciled:
        """What differs, when all events since that Unix time are kept."""
        silent = [rule_id for rule_id in self._rules if rule_id not in self._said]
        changed = self._changed_at() if silent else {}
        too_old = {rule_id for rule_id in silent if changed.get(rule_id, 0.0) < since}
        found = [f"rule {rule_id}: {NO_EVENT}" for rule_id in silent if rule_id not in too_old]
        found += self._contradictions()
        return Reconciled(len(self._rules.keys() | self._said.keys()), len(too_old), found)

    def _contradictions(self) -> Iterator[str]:
        now: Mapping[str, Rule] | None = None
        for rule_id, event in self._said.items():
            rule = self._rules.get(rule_id)
            deleted = event.type == RULE_DELETED.name
            if rule is None and not deleted:
                now = self._stored() if now is None else now
                if rule_id not in now:
                    yield f"rule {rule_id}: {NO_STATE}"
            elif rule is not None and deleted:
                yield f"rule {rule_id}: its last event says that it was deleted, and the store has it"
            elif rule is not None and event.payload.get("rule") != rule.to_dict():
                yield f"rule {rule_id}: its last event says otherwise"

    def _stored(self) -> dict[str, Rule]:
        return {rule.id: rule for rule in read_rules(self._store).rules}

    def _changed_at(self) -> dict[str, float]:
        """When each rule was changed last, as far as the versions go back."""
        found: dict[str, float] = {}
        for history in (History(self._store, lambda: 0.0), History(self._store, lambda: 0.0, HISTORY)):
            for version in history.versions(1_000):
                for change in version.changes:
                    found[change.rule.id] = max(found.get(change.rule.id, 0.0), version.at)
        return found
