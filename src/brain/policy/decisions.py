"""Decisions: made once for each rule, and handed out for every context that it decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from brain.charter import Effect
from brain.policy.models import Rule
from brain.policy.values import NO_ITEMS, NO_MEMBERS, FrozenList, thaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer for one context. The same object serves every context that the same rule decides.

    `rule_id` is None when no rule matched and the default effect decided.
    """

    allowed: bool
    effect: Effect
    rule_id: str | None
    rule_name: str | None
    reason: str
    warnings: Sequence[str] = NO_MEMBERS
    requires_audit: bool = False
    requires_approval: bool = False
    metadata: Mapping[str, Any] = NO_ITEMS

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain JSON values."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**plain, "effect": str(self.effect), "warnings": list(self.warnings), "metadata": thaw(self.metadata)}


_VERB = {Effect.ALLOW: "allowed", Effect.DENY: "denied", Effect.WARN: "allowed with a warning", Effect.AUDIT: "audited"}


def decision_of(rule: Rule) -> Decision:
    """The decision in every case that `rule` decides."""
    reason = f"{_VERB[rule.effect]} by rule {rule.name!r} ({rule.id}, priority {rule.priority})"
    if rule.description:
        reason += f": {rule.description}"
    return Decision(
        allowed=rule.effect.allows,
        effect=rule.effect,
        rule_id=rule.id,
        rule_name=rule.name,
        reason=reason,
        warnings=FrozenList([rule.description or rule.name]) if rule.effect is Effect.WARN else NO_MEMBERS,
        requires_audit=rule.effect is Effect.AUDIT,
        requires_approval=rule.requires_approval,
        metadata=rule.metadata,
    )


def default_decision(effect: Effect) -> Decision:
    """The decision when no rule matches."""
    reason = f"{_VERB[effect]} by default: no rule matches"
    return Decision(
        allowed=effect.allows,
        effect=effect,
        rule_id=None,
        rule_name=None,
        reason=reason,
        warnings=FrozenList([reason]) if effect is Effect.WARN else NO_MEMBERS,
        requires_audit=effect is Effect.AUDIT,
    )


def refusal(reason: str) -> Decision:
    """A denial that no rule decided."""
    return Decision(allowed=False, effect=Effect.DENY, rule_id=None, rule_name=None, reason=reason)
