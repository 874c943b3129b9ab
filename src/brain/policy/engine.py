"""The policy engine: decisions in under a microsecond, rules that change while decisions are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import inf
from random import Random
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from brain.charter import Effect
from brain.errors import Conflict, InvalidInput, NotFound
from brain.garbage import return_memory
from brain.kit.idempotency import check_key
from brain.policy.approvals import Approvals
from brain.policy.compiler import DECISION, Mismatch
from brain.policy.containment import reserved, reserved_id
from brain.policy.decision_record import refused
from brain.policy.decisions import Decision, refusal
from brain.policy.events import ACTION_DENIED
from brain.policy.explain import Explanation, explain
from brain.policy.follower import Follower
from brain.policy.freshness import FreshRules, LastLook, Rules, StaleRules, checked_limit
from brain.policy.history import Change, Version
from brain.policy.measures import Measures
from brain.policy.models import Rule, changes, is_temporary_id
from brain.policy.recorder import Decided, batch_recorder, recorder
from brain.policy.repository import RuleRepository
from brain.policy.rule_import import ImportResult, check_import, differences
from brain.policy.ruleset import RuleSet, RulesSnapshot, SnapshotHolder
from brain.policy.values import spread_agent
from brain.store import Store
from brain.store.memory import MemoryStore
from brain.stream.publisher import Publisher, check_publisher, emit

if TYPE_CHECKING:
    from brain.policy.usage_store import UsageStore

_MANY = 10_000  # rules changed by one import: then what it has freed is given back to the system
_IDLE_INTERVAL = 0.25  # seconds between looks at temporary rules when there is no other process to follow


class PolicyEngine:
    """Decides what agents may do. Thread-safe: `evaluate` takes no lock and sees one whole set of rules.

    With a `store` the rules outlive the process, and engines of other processes on the same store follow a change
    within `follow_interval` seconds and a read (None: only by `refresh` and `tick`); `close()` ends that. While the
    store is away, decisions go on with the rules known last, and changes raise Unavailable. With `max_rules_age`,
    everything is denied while the last successful look at the store is more than so many seconds ago. Below 1,
    `sample_allowed` is the share of ALLOW decisions whose event is published; all others always are. `clock` gives Unix
    seconds, `monotonic` seconds by a clock that nobody sets. A forked child follows on its own.

    A condition whose value cannot be compared with the rule's is unknown: a DENY or AUDIT rule then counts as matched,
    an ALLOW or WARN rule as not. With `mismatch="false"` the condition is false, as in the first version.
    """

    buckets: UsageStore | None = None
    """Where limiters keep the buckets that all processes share; None: each process has its own."""

    def __init__(
        self,
        event_stream: Publisher | None = None,
        *,
        store: Store | None = None,
        default_effect: Effect | str = Effect.DENY,
        mismatch: Mismatch = "unknown",
        sample_allowed: float = 1.0,
        clock: Callable[[], float] = time.time,
        follow_interval: float | None = 0.05,
        max_rules_age: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_opened(event_stream, store)
        _check_options(sample_allowed, mismatch)
        self._stream = event_stream
        self._record = recorder(event_stream) if event_stream is not None else None
        self._record_many = batch_recorder(event_stream) if event_stream is not None else None
        self._clock = clock
        self._sampled = sample_allowed if sample_allowed < 1 else None
        self._random = Random().random
        kept = store or MemoryStore()
        self.max_rules_age = max_rules_age
        self._look = LastLook(
            monotonic, inf if max_rules_age is None else checked_limit(max_rules_age, follow_interval)
        )
        nothing = RuleSet.of((), clock(), _effect(default_effect), mismatch)
        self._snapshots = SnapshotHolder(nothing, clock)
        self._measures = Measures(event_stream, kept, clock, self._snapshots.set_measures)
        self._repository = RuleRepository(event_stream, kept, clock, nothing, self._snapshots.set_rules)
        self._measures.adopt(self._repository)
        self.approvals: Approvals = Approvals(kept, event_stream, clock)
        self._shared = store is not None
        self._followers = self._new_followers(follow_interval if self._shared else _IDLE_INTERVAL)
        self._rules: Rules = self._snapshots
        if max_rules_age is not None and self._shared:
            self._rules = FreshRules(self._snapshots, self._look, self._followers)
        if self._shared:
            self._follow()

    def _new_followers(self, interval: float | None) -> list[Follower]:
        """A thread for the rules, and one for measures: the first may be reading and compiling many rules."""
        if interval is None:
            return []
        return [Follower(one, interval, self._look.monotonic) for one in (self, self._measures)]

    @property
    def default_effect(self) -> Effect:
        """What is decided when no rule matches."""
        return self._snapshots.current.index.default[DECISION].effect

    @property
    def mismatch(self) -> Mismatch:
        """What a condition is whose value cannot be compared with the rule's."""
        return self._snapshots.current.index.mismatch

    # Decisions

    def evaluate(self, context: Mapping[str, Any]) -> Decision:
        """The decision for `context`; its event is published. Raises InvalidInput when `context` is no mapping."""
        if type(context) is not dict:
            context = _check_context(context)
        if "agent" in context:
            context = spread_agent(context)
        rules = self._rules.current
        if not rules.plain and self._clock() >= rules.due:
            rules = self._rules.advance()
        find, record = rules.find, self._record
        if record is None:
            return find(context)[DECISION]
        started = perf_counter_ns()
        entry = find(context)
        took_us = (perf_counter_ns() - started) / 1000
        decision = entry[DECISION]
        if self._sampled is None or self._is_sampled(decision):
            record(context, entry, took_us, rules.shadow.find(context) if rules.shadow is not None else None)
        return decision

    @property
    def records(self) -> bool:
        """Whether decisions are published as events: it was made with a stream."""
        return self._stream is not None

    def refuse(self, context: Mapping[str, Any], reason: str) -> Decision:
        """A denial that no rule decided, of what cannot be decided on; its `policy.action_denied` is published."""
        emit(self._stream, ACTION_DENIED, refused(context, reason))
        return refusal(reason)

    def ready(self, context: Mapping[str, Any]) -> bool:
        """Whether `evaluate` decides on `context` without waiting for a database; if not, `prepare` it in a thread."""
        return True

    def prepare(self, context: Mapping[str, Any]) -> None:
        """Make the engine ready for `context`; it may block."""

    def evaluate_many(self, contexts: Iterable[Mapping[str, Any]]) -> list[Decision]:
        """The decisions for the contexts, in their order, by the same rules; each is recorded as by `evaluate`.

        Raises InvalidInput as `evaluate`, before anything is decided.
        """
        asked = [spread_agent(one) if "agent" in one else one for one in map(_check_context, contexts)]
        rules, record = self._now(), self._record_many
        find = rules.find
        if record is None:
            return [find(context)[DECISION] for context in asked]
        decided: list[Decided] = []
        for context in asked:
            started = perf_counter_ns()
            entry = find(context)
            took_us = (perf_counter_ns() - started) / 1000
            decided.append((context, entry, took_us, rules.shadow.find(context) if rules.shadow is not None else None))
        record(one for one in decided if self._is_sampled(one[1][DECISION]))
        return [entry[DECISION] for _, entry, _, _ in decided]

    def _is_sampled(self, decision: Decision) -> bool:
        """Whether the event of this decision is published."""
        return self._sampled is None or decision.effect is not Effect.ALLOW or self._random() < self._sampled

    def allowed_actions(
        self, agent: Mapping[str, Any] | str, actions: Iterable[str], resources: Iterable[str | None] = (None,)
    ) -> list[tuple[str, str | None]]:
        """Which of the actions on which of the resources the agent may do now: pairs of both.

        `agent` is an agent's id, or the part of the context that stays the same (`agent_id`, `agent_role`, ...).
        A question, not an attempt: no events.
        """
        base = {"agent_id": agent} if isinstance(agent, str) else dict(spread_agent(_check_context(agent)))
        rules = self._now()
        allowed = []
        targets = list(resources)
        for action in actions:
            for resource in targets:
                context = {"environment": {}, "params": {}, **base, "action": action}
                if resource is not None:
                    context["resource"] = resource
                if rules.find(context)[DECISION].allowed:
                    allowed.append((action, resource))
        return allowed

    def preview(self, context: Mapping[str, Any]) -> Decision:
        """What `evaluate` would decide now. A question, not an attempt: no event. Raises InvalidInput as `evaluate`."""
        return self._now().find(spread_agent(_check_context(context)))[DECISION]

    def explain(self, context: Mapping[str, Any]) -> Explanation:
        """Why `evaluate` decides as it does: every rule considered, each condition with the value it met. No event."""
        rules, context = self._now(), spread_agent(_check_context(context))
        return rules.explanation() if isinstance(rules, StaleRules) else explain(rules, context, self._clock())

    def _now(self) -> RulesSnapshot:
        rules = self._rules.current
        return rules if rules.plain or self._clock() < rules.due else self._rules.advance()

    # Rules

    def rules(self) -> list[Rule]:
        """All rules and measures in order of precedence: the first that matches decides."""
        return list(self._snapshots.current.ordered)

    def get_rule(self, rule_id: str) -> Rule:
        """The rule or measure with that id. Raises NotFound."""
        return _known(self._snapshots.current.rules, rule_id)

    def known_rule(self, rule_id: str) -> Rule | None:
        """The rule or measure with that id, as known here; None when there is none."""
        return self._snapshots.current.rules.get(rule_id)

    def swap_rule(self, old: Rule | None, new: Rule | None, *, by: str | None = None, note: str = "") -> bool:
        """Put `new` in the place of `old` (None: no rule) if just that is stored now; whether it was.

        Of several processes that do so at once one succeeds. Raises InvalidInput, Unavailable.
        """
        rule = new or old
        if rule is None:
            return True
        _check_not_reserved(rule)
        planned = Change(old, new)
        return bool(
            self._repository.commit(lambda rules: [planned] if rules.get(rule.id) == old else [], by=by, note=note)
        )

    def add_rule(self, rule: Rule, *, by: str | None = None, note: str = "", key: str | None = None) -> Rule:
        """Add a rule. Raises Conflict when its id is taken, Unavailable when the store does not answer.

        With a `key`, which stands for this one request, the same rule again under its id is the first one found again.
        Raises InvalidInput for an id or a tag that is kept for measures, as all changes of rules do.
        """
        _check_not_reserved(rule)
        check_key(key)

        def plan(rules: Mapping[str, Rule]) -> list[Change]:
            if key is not None and rules.get(rule.id) == rule:
                return []
            if rule.id in rules:
                raise Conflict(f"a rule with the id {rule.id!r} exists; update it, or choose another id")
            return [Change(None, rule)]

        self._repository.commit(plan, by=by, note=note or f"add {rule.id}")
        return rule

    def update_rule(
        self,
        rule: Rule | str,
        changed: Mapping[str, Any] | Rule | None = None,
        /,
        *,
        by: str | None = None,
        note: str = "",
        **more: Any,
    ) -> Rule:
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

        return self._change(rule_id, apply, by, note or f"update {rule_id}")

    def enable_rule(self, rule_id: str, *, by: str | None = None, note: str = "") -> Rule:
        """Let the rule take part. Raises NotFound."""
        return self._switch(rule_id, True, by, note or f"enable {rule_id}")

    def disable_rule(self, rule_id: str, *, by: str | None = None, note: str = "") -> Rule:
        """Leave the rule out of decisions, but keep it. Raises NotFound."""
        return self._switch(rule_id, False, by, note or f"disable {rule_id}")

    def delete_rule(self, rule_id: str, *, by: str | None = None, note: str = "") -> Rule:
        """Remove the rule; what it was. Raises NotFound."""
        done = self._repository.commit(
            lambda rules: [Change(_changeable(rules, rule_id), None)], by=by, note=note or f"delete {rule_id}"
        )
        return done[0].rule

    def _switch(self, rule_id: str, enabled: bool, by: str | None, note: str) -> Rule:
        return self._change(rule_id, lambda rule: replace(rule, enabled=enabled), by, note, switch=True)

    def _change(
        self, rule_id: str, apply: Callable[[Rule], Rule], by: str | None, note: str, *, switch: bool = False
    ) -> Rule:
        def plan(rules: Mapping[str, Rule]) -> list[Change]:
            old = _changeable(rules, rule_id)
            new = apply(old)
            _check_not_reserved(new)
            return [Change(old, new)] if changes(old, new) else []

        done = self._repository.commit(plan, by=by, note=note, switch=switch)
        return done[0].rule if done else self.get_rule(rule_id)

    def import_rules(
        self, rules: Iterable[Rule], *, replace_all: bool = False, by: str | None = None, note: str = ""
    ) -> ImportResult:
        """Add the rules that are new and update those that differ; with `replace_all` also delete all others.

        Decisions see all of it or nothing of it, in every process. Containments and the kill switch are left alone.
        Raises InvalidInput when two rules have the same id, or one has an id or a tag that is kept for measures.
        """
        result = self._import(list(rules), replace_all, by, note)
        if len(result.created) + len(result.updated) + len(result.deleted) >= _MANY:
            return_memory()  # here, where nothing of the work is alive any more: it lies between what stays
        return result

    def _import(self, given: list[Rule], replace_all: bool, by: str | None, note: str) -> ImportResult:
        check_import(given)
        wanted = {rule.id: rule for rule in given}

        def plan(known: Mapping[str, Rule]) -> list[Change]:
            return differences(known, wanted, replace_all)

        self.refresh()
        done = self._repository.commit(plan, by=by, note=note or f"import of {len(given)} rules")
        created = [change.rule.id for change in done if change.old is None]
        updated = [change.rule.id for change in done if change.old and change.new]
        deleted = [change.rule.id for change in done if change.new is None]
        return ImportResult(created, updated, deleted, len(given) - len(created) - len(updated))

    # Versions of the whole set

    def versions(self, limit: int = 50) -> list[Version]:
        """The newest versions of the rule set, newest first; every change made one. Raises Unavailable."""
        return self._repository.history.versions(limit)

    def rules_at(self, version: int) -> list[Rule]:
        """The rules as they were just after that version, in order of precedence. Raises NotFound."""
        return sorted(
            self._repository.history.rules_at(version, self._repository.rules).values(), key=lambda rule: rule.order
        )

    def rollback(self, version: int, *, by: str | None = None) -> ImportResult:
        """Make the rules again what they were just after that version; itself a new version. Raises NotFound."""
        self.refresh()
        rules = self.rules_at(version)
        return self.import_rules(rules, replace_all=True, by=by, note=f"rollback to version {version}")

    # Measures of the moment

    def contain(self, agent_id: str, *, ttl: float, reason: str, by: str | None = None, key: str | None = None) -> Rule:
        """Deny the agent everything for `ttl` seconds, above all rules. Of two containments the longer one counts.

        The measure deletes itself, with its event, when the time is over. With a `key` the same call again changes
        nothing while the containment that the first one made is in force. Raises InvalidInput, and Conflict when the
        key made that containment with another reason or for another time.
        """
        rule = self._measures.contain(agent_id, ttl=ttl, reason=reason, by=by, key=key)
        self._follow()
        return rule

    def containments(self) -> list[Rule]:
        """The containments in force, the one that ends first at the top."""
        return self._measures.containments()

    def lift(self, agent_id: str, *, by: str | None = None, reason: str = "lifted") -> Rule:
        """End the agent's containment; what it was. Raises NotFound."""
        return self._measures.lift(agent_id, by=by, reason=reason)

    def kill_switch(
        self, *, reason: str, allow: Iterable[str] = (), ttl: float | None = None, by: str | None = None
    ) -> Rule:
        """Deny everything to every agent but those in `allow`, for whom the rules go on to decide; until it is lifted.

        With a `ttl` it ends by itself after so many seconds. Raises InvalidInput.
        """
        rule = self._measures.kill_switch(allow, ttl=ttl, reason=reason, by=by)
        if ttl is not None:
            self._follow()
        return rule

    def kill_switch_in_force(self) -> Rule | None:
        """The kill switch while it is on; None while it is off."""
        return self._measures.kill_switch_in_force()

    def lift_kill_switch(self, *, by: str | None = None, reason: str = "lifted") -> Rule:
        """Let the rules decide again; what the kill switch was. Raises NotFound when it is not on."""
        return self._measures.lift_kill_switch(by=by, reason=reason)

    def measures(self, limit: int = 50) -> list[Version]:
        """The last changes of containments and the kill switch, newest first: who, when and why."""
        return self._measures.history(limit)

    def expire(self) -> list[Rule]:
        """Delete the measures whose time is over, now instead of soon; which they were."""
        return self._measures.expire()

    # The shared set

    def refresh(self) -> bool:
        """Take over what other processes changed in the store; whether there was anything.

        Raises Unavailable when the store does not answer, InvalidInput when it holds what cannot be read; a measure
        that cannot be read keeps no rule back.
        """
        began = self._look.monotonic()
        changed, unreadable = False, []
        for look in (self._measures.refresh, self._refresh_rules):
            try:
                changed |= look()
            except InvalidInput as error:
                unreadable.append(str(error))
        if unreadable:
            raise InvalidInput("; ".join(unreadable), unreadable)
        self._look.succeeded(began)
        return changed

    def _refresh_rules(self) -> bool:
        if not self._repository.refresh():
            return False
        self._measures.adopt(self._repository)
        return True

    def tick(self) -> None:
        """What is due now and then: follow other processes; end containments and approvals whose time is over.

        Raises Unavailable when the store does not answer, InvalidInput when it holds a rule that cannot be read.
        """
        unreadable: InvalidInput | None = None
        try:
            self.refresh()
        except InvalidInput as error:  # what is for a time ends all the same
            unreadable = error
        self.expire()
        self.approvals.tick()
        if unreadable is not None:
            raise unreadable

    @property
    def rules_age(self) -> float:
        """Seconds since the last successful look at the store; 0 for an engine that shares its rules with nobody."""
        for follower in self._followers:
            follower.check()
        return self._look.age if self._shared else 0.0

    @property
    def follow_failures(self) -> int:
        """How many looks at the store have failed, for whatever reason."""
        return sum(follower.failures for follower in self._followers)

    @property
    def losses(self) -> int:
        """How often the store came back with less than was known here: rules and measures together."""
        return self._repository.mirror.losses + self._measures.losses

    @property
    def follower_restarts(self) -> int:
        """How often the thread that follows the store was found dead, and replaced."""
        return sum(follower.restarts for follower in self._followers)

    def close(self) -> None:
        """Stop following the store and the clock. Waits for a look under way, so at most for one."""
        for follower in self._followers:
            follower.stop()

    def _follow(self) -> None:
        """Look at the store and the clock in threads of their own from now on, until `close`."""
        for follower in self._followers:
            follower.start()

    def __enter__(self) -> PolicyEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _check_opened(event_stream: object, store: object) -> None:
    """Raises InvalidInput for what is no opened stream or store, such as a URL."""
    check_publisher(event_stream)
    if isinstance(store, str):
        raise InvalidInput(f"store: {store!r} is a text; give what `open_store` returns")


def _check_options(sample_allowed: float, mismatch: str) -> None:
    """Raises InvalidInput for an option of the engine that is out of bounds."""
    if not 0 <= sample_allowed <= 1:
        raise InvalidInput(f"sample_allowed: {sample_allowed!r} is not a share; give a number between 0 and 1")
    if mismatch not in ("unknown", "false"):
        raise InvalidInput(f"mismatch: {mismatch!r} is unknown; use unknown or false")


def _check_context(context: Mapping[str, Any]) -> dict[str, Any]:
    """The context as a plain dict, which reading a missing key does not change."""
    if type(context) is dict:
        return context
    if not isinstance(context, Mapping):
        raise InvalidInput(f"context: must be an object with agent_id, action, ..., not {type(context).__name__}")
    return dict(context)


def _check_not_reserved(rule: Rule) -> None:
    faults = reserved(rule)
    if faults:
        raise InvalidInput(f"rule {rule.id!r} is not acceptable: {'; '.join(faults)}", faults)


def _changeable(rules: Mapping[str, Rule], rule_id: str) -> Rule:
    """The rule with that id. Raises NotFound, or InvalidInput when it is no rule but a measure."""
    if rule_id not in rules and is_temporary_id(rule_id):
        raise InvalidInput(f"rule {rule_id!r} cannot be changed: {reserved_id(rule_id)}", [reserved_id(rule_id)])
    return _known(rules, rule_id)


def _known(rules: Mapping[str, Rule], rule_id: str) -> Rule:
    rule = rules.get(rule_id)
    if rule is None:
        raise NotFound(f"there is no rule {rule_id!r}; `brain policy list` lists the rules")
    return rule


def _effect(given: Effect | str) -> Effect:
    try:
        return Effect(given.upper())
    except ValueError:
        known = ", ".join(effect.value for effect in Effect)
        raise InvalidInput(f"default_effect: {given!r} is unknown; use one of {known}") from None
