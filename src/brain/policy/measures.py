"""Measures: containments and the kill switch, kept apart from the rules and above them.

They are in a small collection of their own, so that a stop order is stored, read and in force at once, whatever is
being done to the rules meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from brain.charter import Effect
from brain.errors import Conflict, NotFound
from brain.kit.idempotency import content_digest
from brain.logs import Log
from brain.policy.codec import MEASURES
from brain.policy.containment import (
    containment_rule,
    is_measure,
    keyed,
    kill_switch_rule,
    longer_of,
    made_by_key,
    rule_id_for,
)
from brain.policy.history import Change, Version
from brain.policy.models import KILL_SWITCH, Rule
from brain.policy.repository import CHANGING, RuleCollection, RuleRepository
from brain.policy.ruleset import RuleSet
from brain.store import Store
from brain.stream.publisher import Publisher

log: Log = Log("brain.policy")

HISTORY = "policy.measures.history"


class Measures:
    """The measures of a store. Each change calls `apply` with the compiled sets, and is kept with who made it and why.

    Methods that look at the store or change it raise Unavailable when it does not answer.
    """

    def __init__(
        self,
        stream: Publisher | None,
        store: Store,
        clock: Callable[[], float] = time.time,
        apply: Callable[[Sequence[RuleSet]], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        shelf = RuleCollection(MEASURES, HISTORY, all_or_none=False)
        self._repository = RuleRepository(stream, store, clock, RuleSet.of((), clock(), Effect.DENY), apply, shelf)

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The measures by the id of the rule that each is, those included whose time is over."""
        return self._repository.rules

    def contain(self, agent_id: str, *, ttl: float, reason: str, by: str | None = None, key: str | None = None) -> Rule:
        """Deny the agent everything for `ttl` seconds. Of two containments the one that ends later counts.

        The measure as it is then, with the new reason; with a `key` that made the present one, the present one. Raises
        InvalidInput, and Conflict when the key made the present one from other content.
        """
        made = keyed(containment_rule(agent_id, ttl, reason, by, self._clock()), key, content_digest(ttl, reason, by))

        def longer(old: Rule | None) -> Rule:
            if old is not None and made_by_key(old, made) and old.active_at(self._clock()):
                return old
            return longer_of(old, made, self._clock())

        return self._commit_measure(made.id, longer, by, reason)

    def lift(self, agent_id: str, *, by: str | None = None, reason: str = "lifted") -> Rule:
        """End the agent's containment; what it was. Raises NotFound."""
        missing = f"agent {agent_id!r} is not contained; `brain policy containments` shows who is"
        return self._end(rule_id_for(agent_id), missing, by, reason)

    def containments(self) -> list[Rule]:
        """The containments in force, the one that ends first at the top."""
        found = [rule for rule in self._in_force() if rule.id != KILL_SWITCH]
        return sorted(found, key=lambda rule: rule.expires_at or 0)

    def kill_switch(self, allow: Iterable[str], *, ttl: float | None, reason: str, by: str | None = None) -> Rule:
        """Deny everything to all but the agents in `allow`, for `ttl` seconds or until lifted. Raises InvalidInput."""
        return self._put(kill_switch_rule(allow, ttl, reason, by, self._clock()), by, reason)

    def lift_kill_switch(self, *, by: str | None = None, reason: str = "lifted") -> Rule:
        """Let the rules decide again; what the kill switch was. Raises NotFound when it is not on."""
        return self._end(KILL_SWITCH, "the kill switch is not on", by, reason)

    def kill_switch_in_force(self) -> Rule | None:
        """The kill switch while it is on: enabled, denying, and within its time."""
        return next((rule for rule in self._in_force() if rule.id == KILL_SWITCH), None)

    def history(self, limit: int = 50) -> list[Version]:
        """The last changes of measures, newest first: who, why, and what was before and after."""
        return self._repository.history.versions(limit)

    def expire(self) -> list[Rule]:
        """Delete the measures whose time is over; which they were. One process of those that share them does."""

        def plan(rules: Mapping[str, Rule]) -> list[Change]:
            now = self._clock()
            return [Change(rule, None) for rule in rules.values() if rule.has_expired(now)]

        return (
            [change.rule for change in self._repository.commit(plan, note="its time was over")]
            if plan(self.rules)
            else []
        )

    def refresh(self) -> bool:
        """Take over what other processes changed in the store; whether there was anything."""
        return self._repository.refresh()

    def tick(self) -> None:
        """Take over what others changed, and end what is over."""
        self.refresh()
        self.expire()

    def adopt(self, book: RuleRepository) -> None:
        """Take measures out of the rules, where earlier versions kept them. They decide from there until that is done.

        Of several processes one does it. Earlier versions, which would miss them, cannot read the rules from then on.
        """
        old = [rule for rule in book.rules.values() if rule.is_temporary and is_measure(rule)]
        if not old and not book.is_open_to_earlier:
            return
        try:
            for rule in old:
                if rule.id not in self.rules:
                    self._put(rule, None, "taken over from the rules, where an earlier version kept it")
            book.drop([CHANGING, *(rule.id for rule in old)])
        except Conflict as error:
            log.info("another process moves the measures out of the rules", error=str(error))

    @property
    def losses(self) -> int:
        """How often the store came back with fewer measures than are known here."""
        return self._repository.mirror.losses

    def _in_force(self) -> list[Rule]:
        now = self._clock()
        return [rule for rule in self.rules.values() if is_measure(rule) and rule.active_at(now)]

    def _put(self, rule: Rule, by: str | None, reason: str) -> Rule:
        return self._commit_measure(rule.id, lambda _: rule, by, reason)

    def _commit_measure(self, rule_id: str, make: Callable[[Rule | None], Rule], by: str | None, reason: str) -> Rule:
        """Put what `make` makes of the present measure, if there is one, in its place, unless that is the same."""
        unchanged: list[Rule] = []

        def plan(rules: Mapping[str, Rule]) -> list[Change]:
            old = rules.get(rule_id)
            new = make(old)
            unchanged[:] = [new] if new is old else []
            return [] if new is old else [Change(old, new)]

        done = self._repository.commit(plan, by=by, note=reason)
        return done[0].rule if done else unchanged[0]

    def _end(self, rule_id: str, missing: str, by: str | None, reason: str) -> Rule:
        def plan(rules: Mapping[str, Rule]) -> list[Change]:
            if rule_id not in rules:
                raise NotFound(missing)
            return [Change(rules[rule_id], None)]

        return self._repository.commit(plan, by=by, note=reason)[0].rule
