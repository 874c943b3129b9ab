"""The policy engine: decisions in under a microsecond, rules that change while decisions are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from time import perf_counter_ns
from typing import Any, NamedTuple

from brain.charter import EventType
from brain.errors import BrainError, Conflict, InvalidInput, NotFound
from brain.policy.events import RULE_CREATED, RULE_DELETED, RULE_DISABLED, RULE_ENABLED, RULE_UPDATED
from brain.policy.explain import Explanation, explain
from brain.policy.follower import Follower
from brain.policy.models import Decision, Effect, Rule, changes
from brain.policy.recorder import record
from brain.policy.ruleset import RuleSet
from brain.policy.store import RuleStore, Stored
from brain.policy.values import spread_agent
from brain.store import Store
from brain.stream.publisher import Publisher, emit

_ATTEMPTS = 5


class Imported(NamedTuple):
    """The ids of the rules that an import made, changed and removed, and how many it found as wanted."""

    created: list[str]
    updated: list[str]
    deleted: list[str]
    unchanged: int


class PolicyEngine:
    """Decides what agents may do. Thread-safe: `evaluate` takes no lock and sees one whole set of rules.

    With a `store` the rules outlive the process, and engines of other processes on the same store follow a change
    within `follow_interval` seconds and a read (None: not at all); `close()` ends that. While the store is away,
    decisions go on with the rules known last, and changes raise Unavailable. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        event_stream: Publisher | None = None,
        *,
        store: Store | None = None,
        default_effect: Effect | str = Effect.DENY,
        clock: Callable[[], float] = time.time,
        follow_interval: float | None = 0.05,
    ) -> None:
        self._stream = event_stream
        self._clock = clock
        self._lock = threading.RLock()
        self._default = _effect(default_effect)
        self._set = RuleSet.of((), clock(), self._default)
        self._store = RuleStore(store) if store is not None else None
        self._stored: dict[str, Stored] = {}
        self._revision: int | None = None
        self._follower: Follower | None = None
        if self._store is not None:
            self.refresh()
            if follow_interval is not None:
                self._follower = Follower(self, follow_interval)

    # Decisions

    def evaluate(self, context: Mapping[str, Any]) -> Decision:
        """The decision for `context`; its event is published. Raises InvalidInput when `context` is no mapping."""
        if context.__class__ is not dict and not isinstance(context, Mapping):
            raise InvalidInput(f"context: must be an object with agent_id, action, ..., not {type(context).__name__}")
        if "agent" in context:
            context = spread_agent(context)
        rules = self._set
        if self._stream is None and rules.plain:
            return rules.find(context)[3]
        return self._evaluate_recorded(context, rules)

    def _evaluate_recorded(self, context: Mapping[str, Any], rules: RuleSet) -> Decision:
        if not rules.plain and self._clock() >= rules.due:
            rules = self._advance()
        started = perf_counter_ns()
        entry = rules.find(context)
        took_us = (perf_counter_ns() - started) / 1000
        if self._stream is not None:
            record(self._stream, context, entry, took_us)
        return entry[3]

    def explain(self, context: Mapping[str, Any]) -> Explanation:
        """Why `evaluate` decides as it does: every rule considered, each condition with the value it met. No event."""
        if not isinstance(context, Mapping):
            raise InvalidInput(f"context: must be an object with agent_id, action, ..., not {type(context).__name__}")
        now = self._clock()
        rules = self._set if now < self._set.due else self._advance()
        return explain(rules, spread_agent(context), now)

    # Rules

    def rules(self) -> list[Rule]:
        """All rules in order of precedence: the first that matches decides."""
        return list(self._set.ordered)

    def get_rule(self, rule_id: str) -> Rule:
        """The rule with that id. Raises NotFound."""
        rule = self._set.rules.get(rule_id)
        if rule is None:
            raise NotFound(f"there is no rule {rule_id!r}; `brain policy list` shows those there are")
        return rule

    def add_rule(self, rule: Rule) -> Rule:
        """Add a rule. Raises Conflict when its id is taken."""
        with self._lock:
            if rule.id in self._set.rules:
                raise Conflict(f"a rule with the id {rule.id!r} exists; update it, or choose another id")
            self._save(None, rule)
            self._announce(RULE_CREATED, rule)
        return rule

    def update_rule(self, rule: Rule | str, changed: Mapping[str, Any] | Rule | None = None, /, **more: Any) -> Rule:
        """Replace a rule by `rule`, or change fields of the rule with that id; the rule as it is then.

        Raises NotFound, and InvalidInput with every fault when a change is not acceptable.
        """
        rule_id = rule if isinstance(rule, str) else rule.id

        def apply(old: Rule) -> Rule:
            given = rule if isinstance(rule, Rule) else changed
            new = given if isinstance(given, Rule) else Rule.from_dict({**old.to_dict(), **(given or {}), **more})
            if new.id != old.id:
                raise InvalidInput(f"id: a rule keeps its id ({old.id!r}); add {new.id!r} as a new rule instead")
            return new

        return self._change(rule_id, apply)

    def enable_rule(self, rule_id: str) -> Rule:
        """Let the rule take part. Raises NotFound."""
        return self._change(rule_id, lambda rule: replace(rule, enabled=True), switch=True)

    def disable_rule(self, rule_id: str) -> Rule:
        """Leave the rule out of decisions, but keep it. Raises NotFound."""
        return self._change(rule_id, lambda rule: replace(rule, enabled=False), switch=True)

    def delete_rule(self, rule_id: str) -> Rule:
        """Remove the rule; what it was. Raises NotFound."""
        with self._lock:
            for _ in range(_ATTEMPTS):
                rule = self.get_rule(rule_id)
                try:
                    self._save(rule, None)
                except Conflict:
                    self.refresh()
                    continue
                self._announce(RULE_DELETED, rule)
                return rule
        raise _overtaken(rule_id)

    def import_rules(self, rules: Iterable[Rule], *, replace_all: bool = False) -> Imported:
        """Add the rules that are new and update those that differ; with `replace_all` also delete all others.

        Raises InvalidInput when two have the same id.
        """
        given = list(rules)
        wanted = {rule.id: rule for rule in given}
        if len(wanted) < len(given):
            twice = sorted({rule.id for rule in given if rule is not wanted[rule.id]})
            raise InvalidInput("the rules are not valid", [f"id: {rule_id!r} is there twice" for rule_id in twice])
        with self._lock:
            self.refresh()
            known = self._set.rules
            created = [rule.id for rule in given if rule.id not in known]
            updated = [rule.id for rule in given if rule.id in known and changes(known[rule.id], rule)]
            deleted = [rule_id for rule_id in known if rule_id not in wanted] if replace_all else []
            for rule_id in created:
                self.add_rule(wanted[rule_id])
            for rule_id in updated:
                self.update_rule(wanted[rule_id])
            for rule_id in deleted:
                self.delete_rule(rule_id)
        return Imported(created, updated, deleted, len(given) - len(created) - len(updated))

    def _change(self, rule_id: str, apply: Callable[[Rule], Rule], *, switch: bool = False) -> Rule:
        with self._lock:
            for _ in range(_ATTEMPTS):
                old = self.get_rule(rule_id)
                new = apply(old)
                what = changes(old, new)
                if not what:
                    return old
                try:
                    self._save(old, new)
                except Conflict:  # another process was quicker: the change is made to what it left
                    self.refresh()
                    continue
                if not switch:
                    emit(
                        self._stream,
                        RULE_UPDATED,
                        {"rule_id": new.id, "rule_name": new.name, "rule": new.to_dict(), "changes": what},
                    )
                if "enabled" in what:
                    self._announce(RULE_ENABLED if new.enabled else RULE_DISABLED, new)
                return new
        raise _overtaken(rule_id)

    def _save(self, old: Rule | None, new: Rule | None) -> None:
        if self._store is not None:
            rule_id = (new or old).id  # type: ignore[union-attr]
            before = self._stored.get(rule_id)
            expected = before.version if before is not None else 0
            if new is not None:
                self._stored[rule_id] = self._store.put(new, expected)
            else:
                self._store.delete(rule_id, expected)
                self._stored.pop(rule_id, None)
            self._skip_own_revision()
        self._swap([old] if old else [], [new] if new else [])

    def _swap(self, removed: list[Rule], added: list[Rule]) -> None:
        self._set = self._set.changed(removed, added, self._clock())

    def _announce(self, event_type: EventType[Any], rule: Rule) -> None:
        emit(self._stream, event_type, {"rule_id": rule.id, "rule_name": rule.name, "rule": rule.to_dict()})

    def _advance(self) -> RuleSet:
        with self._lock:
            now = self._clock()
            if now >= self._set.due:
                self._set = self._set.advanced(now)
            return self._set

    # The shared set

    def refresh(self) -> bool:
        """Take over what other processes changed in the store; whether there was anything. Raises Unavailable."""
        if self._store is None:
            return False
        with self._lock:
            revision = self._store.revision()
            if revision == self._revision:
                return False
            stored = self._store.load(self._stored)
            removed = [old.rule for id, old in self._stored.items() if old is not stored.get(id)]
            added = [new.rule for id, new in stored.items() if new is not self._stored.get(id)]
            self._stored = stored
            self._revision = revision
            if removed or added:
                self._swap(removed, added)
            return bool(removed or added)

    def _skip_own_revision(self) -> None:
        """One more than the revision known is this engine's own change: nothing to read again."""
        assert self._store is not None
        try:
            revision = self._store.revision()
        except BrainError:  # the change itself is stored; the follower will read it once more
            return
        if self._revision is not None and revision == self._revision + 1:
            self._revision = revision

    def close(self) -> None:
        """Stop following the store."""
        if self._follower is not None:
            self._follower.stop()

    def __enter__(self) -> PolicyEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _effect(given: Effect | str) -> Effect:
    try:
        return Effect(given.upper())
    except ValueError:
        known = ", ".join(effect.value for effect in Effect)
        raise InvalidInput(f"default_effect: {given!r} is unknown; use one of {known}") from None


def _overtaken(rule_id: str) -> Conflict:
    return Conflict(f"rule {rule_id!r} was changed by others {_ATTEMPTS} times meanwhile; try again")
