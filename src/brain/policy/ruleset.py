"""The rules of one moment: an immutable set with its compiled indexes, replaced as a whole by every change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from math import inf

from brain.policy.compiler import DECISION, Index, Mismatch
from brain.policy.models import Effect, Mode, Rule


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
        self.find = index.find
        self.shadow = shadow if shadow.tables else None
        self._shadow = shadow
        self._timed = timed
        self._live = live
        self.due = min((moment for rule in timed.values() for moment in _boundaries(rule, now)), default=inf)
        self.plain = self.shadow is None and self.due == inf

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

    @cached_property
    def temporary(self) -> list[Rule]:
        """Containments and the kill switch."""
        return [rule for rule in self.rules.values() if rule.is_temporary]

    @cached_property
    def ordered(self) -> list[Rule]:
        """All rules in order of precedence."""
        return sorted(self.rules.values(), key=lambda rule: rule.order)

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


def _is_timed(rule: Rule) -> bool:
    return rule.not_before is not None or rule.expires_at is not None


def _boundaries(rule: Rule, now: float) -> list[float]:
    return [moment for moment in (rule.not_before, rule.expires_at) if moment is not None and moment > now]
