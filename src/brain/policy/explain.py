"""Explains a decision: each rule, and each condition with the value of its field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from brain.charter import Effect
from brain.policy.compiler import DECISION, Mismatch
from brain.policy.decisions import Decision, default_decision
from brain.policy.json_safe import to_json_safe
from brain.policy.masked_agents import as_named
from brain.policy.models import Condition, Mode, Rule
from brain.policy.normalisation import normalise
from brain.policy.predicates import holds
from brain.policy.ruleset import RulesSnapshot
from brain.policy.values import MISSING, path_of, resolve


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """One condition, the value its field had (`present` is False when the context has no such field), the outcome.

    `actual` is what rules see of the value. `unknown` says that it cannot be compared with the rule's; then `holds` is
    False.
    """

    field: str
    operator: str
    expected: Any
    actual: Any
    present: bool
    holds: bool
    unknown: bool = False

    def __str__(self) -> str:
        actual = repr(self.actual) if self.present else "missing"
        outcome = "cannot be compared" if self.unknown else "holds" if self.holds else "fails"
        return f"{self.field} {self.operator} {self.expected!r}: {outcome}, it is {actual}"


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule against the context. `outcome`: won, outranked, no match, disabled, not yet valid, expired, shadow."""

    rule_id: str
    name: str
    effect: str
    priority: int
    matched: bool
    outcome: str
    conditions: tuple[ConditionTrace, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, why, and the rules in order of precedence."""

    decision: Decision
    why: Annotated[str, Meta(description="Why this rule decides, and not another.")]
    rules: Annotated[tuple[RuleTrace, ...], Meta(description="Those that matched, and the closest of the others.")]

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """As plain JSON values; with a `limit`, the rules that matched and the closest of the others."""
        shown = self.rules if limit is None else self._closest(limit)
        return {
            "decision": self.decision.to_dict(),
            "why": self.why,
            "considered": len(self.rules),
            "rules": to_json_safe(shown),
        }

    def text(self, limit: int = 10) -> str:
        """For people: the decision, the rules that matched, and the closest of the others, at most `limit`."""
        lines = [f"{self.decision.effect}: {self.decision.reason}", self.why]
        for rule in self._closest(limit):
            lines.append(f"- {rule.name} ({rule.rule_id}): {rule.effect}, priority {rule.priority}: {rule.outcome}")
            lines += [f"    {condition}" for condition in rule.conditions]
        left = len(self.rules) - min(limit, len(self.rules))
        if left:
            lines.append(f"and {left} more rules that are further from matching")
        return "\n".join(lines)

    def _closest(self, limit: int) -> list[RuleTrace]:
        def distance(rule: RuleTrace) -> tuple[int, int]:
            asleep = rule.outcome in ("disabled", "not yet valid", "expired")
            failed = sum(not (condition.holds or condition.unknown) for condition in rule.conditions)
            return (0 if rule.matched and not asleep else 1, failed)

        return sorted(self.rules, key=distance)[:limit]


def explain(rules: RulesSnapshot, context: Mapping[str, Any], now: float) -> Explanation:
    """The explanation under this set of rules as of `now`."""
    decision = rules.find(context)[DECISION]
    won, mismatch = decision.rule_id, rules.index.mismatch
    traces = [_trace(rule, won, as_named(rule, context), now, mismatch) for rule in rules.ordered]
    return Explanation(decision, _why(decision, traces, rules.index.default[DECISION].effect), tuple(traces))


def _trace(rule: Rule, winner: str | None, context: Mapping[str, Any], now: float, mismatch: Mismatch) -> RuleTrace:
    conditions = tuple(_condition(condition, context, mismatch) for condition in rule.conditions)
    matched = all(one.holds or (one.unknown and rule.effect.is_strict) for one in conditions)
    return RuleTrace(
        rule_id=rule.id,
        name=rule.name,
        effect=str(rule.effect),
        priority=rule.priority,
        matched=matched,
        outcome=_outcome(rule, matched, winner, now),
        conditions=conditions,
    )


def _outcome(rule: Rule, matched: bool, winner: str | None, now: float) -> str:
    if not rule.enabled:
        return "disabled"
    if rule.not_before is not None and now < rule.not_before:
        return "not yet valid"
    if rule.has_expired(now):
        return "expired"
    if not matched:
        return "no match"
    if rule.mode is Mode.SHADOW:
        return "matched as a shadow rule, not applied"
    return "won" if rule.id == winner else "matched, outranked"


def _condition(condition: Condition, context: Mapping[str, Any], mismatch: Mismatch) -> ConditionTrace:
    value = resolve(path_of(condition.field), context)
    known = holds(condition, value)
    return ConditionTrace(
        field=condition.field,
        operator=str(condition.operator),
        expected=condition.value,
        actual=None if value is MISSING else normalise(value),
        present=value is not MISSING,
        holds=known is True,
        unknown=known is None and mismatch == "unknown",
    )


def _why(decision: Decision, traces: list[RuleTrace], default: Effect) -> str:
    lost = [rule for rule in traces if rule.outcome == "matched, outranked"]
    if decision.rule_id is None:
        return f"None of {len(traces)} rules matched, so the default effect {default_decision(default).effect} decides."
    winner = next(rule for rule in traces if rule.rule_id == decision.rule_id)
    if not lost:
        return f"It is the only one of {len(traces)} rules that matched."
    next_best = lost[0]
    if next_best.priority < winner.priority:
        reason = f"its priority {winner.priority} is the highest"
    elif next_best.effect != winner.effect:
        reason = f"on equal priority {winner.effect} is more restrictive than {next_best.effect}"
    else:
        reason = f"on equal priority and effect its id comes before {next_best.rule_id!r}"
    return f"{len(lost) + 1} of {len(traces)} rules matched; {winner.name!r} decides because {reason}."
