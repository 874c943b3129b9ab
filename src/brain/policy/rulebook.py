"""The rules of an engine: changed here, kept in the store, announced on the stream, equal to what others share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from brain.charter import EventType
from brain.errors import BrainError, Conflict
from brain.logs import Log
from brain.policy.compiler import Mismatch
from brain.policy.events import (
    RULE_CREATED,
    RULE_DELETED,
    RULE_DISABLED,
    RULE_ENABLED,
    RULE_UPDATED,
    RuleChange,
    RuleUpdated,
)
from brain.policy.history import Change, History
from brain.policy.models import Effect, Rule, changes
from brain.policy.ruleset import RuleSet
from brain.policy.store import RuleStore, Stored
from brain.store import Store
from brain.stream.publisher import Publisher, emit

log = Log("brain.policy")

_ATTEMPTS = 5
_RENEWED_EVERY = 200  # changes, after which the others are told again that more are to come
Plan = Callable[[Mapping[str, Rule]], list[Change]]


class Rulebook:
    """`current` is the immutable set that decisions read; every change replaces it as a whole."""

    def __init__(
        self,
        stream: Publisher | None,
        store: Store,
        default: Effect,
        clock: Callable[[], float],
        mismatch: Mismatch = "unknown",
    ) -> None:
        self.current = RuleSet.of((), clock(), default, mismatch)
        self.history = History(store, clock)
        self._stream = stream
        self._store = RuleStore(store, clock)
        self._clock = clock
        self._lock = threading.RLock()  # held while the store is asked, however long it takes to answer
        self._swapping = threading.Lock()  # held for the replacement of `current` alone, which decisions may wait for
        self._stored: dict[str, Stored] = {}
        self._revision: int | None = None
        self.refresh()

    def commit(self, plan: Plan, *, by: str | None = None, note: str = "", switch: bool = False) -> list[Change]:
        """Carry out what `plan` makes of the present rules; the changes made. `switch`: it only enables or disables.

        When another process was quicker with one of the rules, `plan` is asked again about what it left.
        Raises Conflict when that happens again and again, Unavailable when the store does not answer.
        """
        made: list[Change] = []
        with self._lock:
            for _ in range(_ATTEMPTS):
                wanted = plan(self.current.rules)
                done: list[Change] = []
                try:
                    self._store_all(wanted, done)
                    return made + done
                except Conflict:
                    made += done
                finally:
                    self._take_over(done, by, note, switch)
                self.refresh()
        raise Conflict(f"rule {wanted[0].rule.id!r} was changed by others {_ATTEMPTS} times meanwhile; try again")

    def _store_all(self, wanted: list[Change], done: list[Change]) -> None:
        """Store the changes, each put into `done` when it is stored. Raises Conflict for one that was overtaken."""
        if len(wanted) == 1:
            self._store_one(wanted[0])
            done += wanted
            return
        for number, change in enumerate(wanted):
            if number % _RENEWED_EVERY == 0:
                self._store.begin()
            self._store_one(change)
            done.append(change)

    def _store_one(self, change: Change) -> None:
        rule_id = change.rule.id
        before = self._stored.get(rule_id)
        expected = before.version if before is not None else 0
        if change.new is not None:
            self._stored[rule_id] = self._store.put(change.new, expected)
        else:
            if not self._store.delete(rule_id, expected):
                raise Conflict(f"rule {rule_id!r} is gone already")
            del self._stored[rule_id]

    def _take_over(self, done: list[Change], by: str | None, note: str, switch: bool) -> None:
        """Decide by what is stored now, record the version, announce the changes."""
        if done:
            self._swap([change.old for change in done if change.old], [change.new for change in done if change.new])
        try:
            if self._store.has_begun:
                self._store.end()
            lasting = [change for change in done if not change.rule.is_temporary]
            if lasting:
                self.history.append(lasting, by, note)
            self._skip_own_revisions()
        except BrainError as error:  # the rules themselves are stored; what is missing is one entry of their history
            log.error("the change is not in the history", note=note, error=str(error))
        for change in done:
            self._announce(change, by, note, switch)

    def _announce(self, change: Change, by: str | None, note: str, switch: bool) -> None:
        old, new = change
        rule = change.rule
        payload: RuleChange = {"rule_id": rule.id, "rule_name": rule.name, "rule": rule.to_dict()}
        if by is not None:
            payload["by"] = by
        if note:
            payload["note"] = note
        if new is None:
            emit(self._stream, RULE_DELETED, payload)
        elif old is None:
            emit(self._stream, RULE_CREATED, payload)
        else:
            what = changes(old, new)
            if not switch:
                updated: RuleUpdated = {**payload, "changes": what}
                emit(self._stream, RULE_UPDATED, updated)
            if "enabled" in what:
                switched: EventType[RuleChange] = RULE_ENABLED if new.enabled else RULE_DISABLED
                emit(self._stream, switched, payload)

    def _swap(self, removed: list[Rule], added: list[Rule]) -> None:
        with self._swapping:
            self.current = self.current.changed(removed, added, self._clock())

    def advance(self) -> RuleSet:
        """The set as of now, after rules began or ceased to be valid by the clock."""
        with self._swapping:
            now = self._clock()
            if now >= self.current.due:
                self.current = self.current.advanced(now)
            return self.current

    def expire(self) -> list[Rule]:
        """Delete the temporary rules whose time is over; which they were. One process of those that share them does."""
        now = self._clock()
        if not any(rule.has_expired(now) for rule in self.current.temporary):
            return []

        def plan(rules: Mapping[str, Rule]) -> list[Change]:
            return [Change(rule, None) for rule in self.current.temporary if rule.has_expired(now)]

        return [change.rule for change in self.commit(plan, note="its time was over")]

    def refresh(self) -> bool:
        """Take over what other processes changed in the store; whether there was anything. Raises Unavailable."""
        with self._lock:
            revision = self._store.revision()
            if revision == self._revision:
                return False
            stored = self._store.load(self._stored)
            if stored is None:
                return False
            removed = [old.rule for rule_id, old in self._stored.items() if old is not stored.get(rule_id)]
            added = [new.rule for rule_id, new in stored.items() if new is not self._stored.get(rule_id)]
            self._stored = stored
            self._revision = revision
            if removed or added:
                self._swap(removed, added)
            return bool(removed or added)

    def _skip_own_revisions(self) -> None:
        """When the revision grew by this engine's own changes alone, there is nothing to read again."""
        own, self._store.writes = self._store.writes, 0
        if self._revision is not None and self._store.revision() == self._revision + own:
            self._revision += own
