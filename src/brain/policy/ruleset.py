"""The rules of one moment: an immutable set with its compiled indexes, replaced as a whole by every change."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, reduce
from math import inf
from typing import Any

from brain.charter import Effect
from brain.locks import InterruptibleLock
from brain.policy.compiler import DECISION, Find, Index, Mismatch, RuleEntry
from brain.policy.masked_agents import names_mark, or_by_mark
from brain.policy.models import RESTRICTIVENESS, Mode, Rule
from brain.store import forking


class RuleSet:
    """Rules by id, the index of those that decide, the index of the shadow rules, and when the set changes by itself.

    `due` is the Unix time at which the next rule begins or ends to be valid; inf when none does.
    """

    def __init__(
        self,
        rules: Mapping[str, Rule],
        index: Index,
        shadow: Index,
        timed: Mapping[str, Rule],
        live: frozenset[str],
        now: float,
    ) -> None:
        self.rules = rules
        self.index = index
        self.find: Find = index.find
        self.shadow: Index | None = shadow if shadow.tables else None
        self._shadow = shadow
        self._timed = timed
        self._live = live
        self.due: float = min((moment for rule in timed.values() for moment in _boundaries(rule, now)), default=inf)
        self.plain: bool = self.shadow is None and self.due == inf

    @staticmethod
    def of(rules: Iterable[Rule], now: float, default: Effect, mismatch: Mismatch = "unknown") -> RuleSet:
        """The set of these rules as of `now`, compiled from nothing."""
        by_id = {rule.id: rule for rule in rules}
        active = [rule for rule in by_id.values() if rule.active_at(now)]
        timed = {rule.id: rule for rule in by_id.values() if _is_timed(rule)}
        return RuleSet(
            by_id,
            Index.of((rule for rule in active if rule.mode is Mode.ENFORCE), default, mismatch),
            Index.of((rule for rule in active if rule.mode is Mode.SHADOW), default, mismatch),
            timed,
            frozenset(rule.id for rule in active if rule.id in timed),
            now,
        )

    def changed(self, removed: Sequence[Rule], added: Sequence[Rule], now: float) -> RuleSet:
        """The set without the rules `removed`, which are in it, and with `added`, which are not."""
        if now >= self.due:
            return self.advanced(now).changed(removed, added, now)
        rules = dict(self.rules)
        for rule in removed:
            del rules[rule.id]
        rules.update((rule.id, rule) for rule in added)
        if len(removed) + len(added) > 100 + len(rules) // 4:
            return RuleSet.of(rules.values(), now, self.index.default[DECISION].effect, self.index.mismatch)
        gone = {rule.id for rule in removed}
        timed = {id: rule for id, rule in self._timed.items() if id not in gone}
        timed |= {rule.id: rule for rule in added if _is_timed(rule)}
        out = [rule for rule in removed if self._is_indexed(rule)]
        into = [rule for rule in added if rule.active_at(now)]
        live = (self._live - gone) | {rule.id for rule in into if rule.id in timed}
        return self._reindexed(rules, out, into, timed, live, now)

    def advanced(self, now: float) -> RuleSet:
        """The same rules as of `now`: those whose time has come take part, those whose time is over do not."""
        out = [rule for rule in self._timed.values() if self._is_indexed(rule) and not rule.active_at(now)]
        into = [rule for rule in self._timed.values() if not self._is_indexed(rule) and rule.active_at(now)]
        live = (self._live - {rule.id for rule in out}) | {rule.id for rule in into}
        return self._reindexed(self.rules, out, into, self._timed, live, now)

    def _is_indexed(self, rule: Rule) -> bool:
        return rule.id in self._live if _is_timed(rule) else rule.enabled

    def _reindexed(
        self,
        rules: Mapping[str, Rule],
        out: list[Rule],
        into: list[Rule],
        timed: Mapping[str, Rule],
        live: frozenset[str],
        now: float,
    ) -> RuleSet:
        indexes = []
        for index, mode in ((self.index, Mode.ENFORCE), (self._shadow, Mode.SHADOW)):
            without = [rule for rule in out if rule.mode is mode]
            plus = [rule for rule in into if rule.mode is mode]
            indexes.append(index.changed(without, plus) if without or plus else index)
        return RuleSet(rules, indexes[0], indexes[1], timed, live, now)


class RulesSnapshot:
    """All that decisions go by at one moment: the measures, which come first, and the rules.

    There are several sets of either while a store has lost what this process knows: then the stricter answer holds.
    `due`, `find` and `shadow` are as a RuleSet's.
    """

    def __init__(self, rules: Sequence[RuleSet], measures: Sequence[RuleSet] = ()) -> None:
        self.sets: tuple[RuleSet, ...] = tuple(rules)
        self.measures: tuple[RuleSet, ...] = tuple(measures)
        self.index: Index = rules[0].index
        self.find: Find = reduce(_above, reversed(self.measures), reduce(_stricter, (each.find for each in rules)))
        self.shadow: Index | None = rules[0].shadow
        self.due: float = min(each.due for each in (*self.sets, *self.measures))
        self.plain: bool = self.shadow is None and self.due == inf

    @cached_property
    def rules(self) -> Mapping[str, Rule]:
        """Rules and measures by id."""
        return ChainMap(*(dict(each.rules) for each in (*self.measures[:1], self.sets[0])))

    @cached_property
    def ordered(self) -> list[Rule]:
        """Rules and measures in order of precedence."""
        return sorted(self.rules.values(), key=lambda rule: rule.order)

    def advanced(self, now: float) -> RulesSnapshot:
        """The same rules and measures as of `now`."""
        return RulesSnapshot(*([each.advanced(now) for each in group] for group in (self.sets, self.measures)))


class SnapshotHolder(forking.Part):
    """`current` is what decisions go by; it is replaced as a whole, whichever part of it changes."""

    level: forking.Level = forking.Level.SERVICE

    def __init__(self, rules: RuleSet, clock: Callable[[], float]) -> None:
        self.current: RulesSnapshot = RulesSnapshot([rules])
        self._clock = clock
        self._swapping = InterruptibleLock()  # held for the replacement alone, never while rules are compiled
        forking.register(self)

    def set_rules(self, rules: Sequence[RuleSet]) -> None:
        """Decide by these rules from now on."""
        with self._swapping:
            self.current = RulesSnapshot(rules, self.current.measures)

    def set_measures(self, measures: Sequence[RuleSet]) -> None:
        """Let these measures hold from now on."""
        with self._swapping:
            self.current = RulesSnapshot(self.current.sets, measures)

    def advance(self) -> RulesSnapshot:
        """The set as of now, after rules began or ceased to be valid by the clock."""
        with self._swapping:
            now = self._clock()
            if now >= self.current.due:
                self.current = self.current.advanced(now)
            return self.current

    def after_fork_in_child(self) -> None:
        """Have a lock of this process's own: a thread of the parent may have held the old one."""
        self._swapping = InterruptibleLock()


def _above(below: Find, measures: RuleSet) -> Find:
    """What the measures decide, and where they decide nothing, what `below` does."""
    if not measures.index.tables:
        return below
    first, nothing = measures.find, measures.index.default
    if any(map(names_mark, measures.rules.values())):
        first = or_by_mark(first, nothing)

    def find(context: Mapping[str, Any]) -> RuleEntry:
        entry = first(context)
        return entry if entry is not nothing else below(context)

    return find


def _stricter(one: Find, other: Find) -> Find:
    """The stricter of two answers."""

    def find(context: Mapping[str, Any]) -> RuleEntry:
        entry, instead = one(context), other(context)
        return entry if _strictness(entry) <= _strictness(instead) else instead

    return find


def _strictness(entry: RuleEntry) -> tuple[int, bool]:
    decision = entry[DECISION]
    return RESTRICTIVENESS[decision.effect], not decision.requires_approval


def _is_timed(rule: Rule) -> bool:
    return rule.not_before is not None or rule.expires_at is not None


def _boundaries(rule: Rule, now: float) -> list[float]:
    return [moment for moment in (rule.not_before, rule.expires_at) if moment is not None and moment > now]
