"""Decisions: made once for each rule, and handed out for every context that it decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from brain.charter import Effect
from brain.policy.models import Rule
from brain.policy.values import NO_ITEMS, NO_MEMBERS, FrozenList


class _Deciding:
    """The rule that decided, from which the reason is put together when somebody asks for it."""

    __slots__ = ("_rule",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(_Deciding):
    """The answer for one context. The same object serves every context that the same rule decides.

    `rule_id` is None when no rule matched and the default effect decided.
    """

    allowed: Annotated[bool, Meta(description="Whether the action may go on.")]
    effect: Annotated[Effect, Meta(description="The effect that decided.")]
    rule_id: Annotated[str | None, Meta(description="The rule that decided; null when the default did.")]
    rule_name: Annotated[str | None, Meta(description="Its name.")]
    reason: Annotated[str, Meta(description="Why, in words.")]
    warnings: Annotated[Sequence[str], Meta(description="What a WARN rule has to say.")] = NO_MEMBERS
    requires_audit: Annotated[bool, Meta(description="Whether the effect is AUDIT.")] = False
    requires_approval: Annotated[bool, Meta(description="Whether a person has to agree first.")] = False
    metadata: Annotated[Mapping[str, Any], Meta(description="The metadata of the rule that decided.")] = NO_ITEMS

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> str:
            """The reason, the first time that it is asked for: most of many rules decide nothing for long."""
            if name != "reason":
                raise AttributeError(f"a decision has no {name!r}")
            reason = _reason(self._rule)
            object.__setattr__(self, "reason", reason)
            return reason

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain JSON values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


_VERB = {Effect.ALLOW: "allowed", Effect.DENY: "denied", Effect.WARN: "allowed with a warning", Effect.AUDIT: "audited"}


def decision_of(rule: Rule) -> Decision:
    """The decision in every case that `rule` decides."""
    decision = Decision(
        allowed=rule.effect.allows,
        effect=rule.effect,
        rule_id=rule.id,
        rule_name=rule.name,
        reason="",
        warnings=FrozenList([rule.description or rule.name]) if rule.effect is Effect.WARN else NO_MEMBERS,
        requires_audit=rule.effect is Effect.AUDIT,
        requires_approval=rule.requires_approval,
        metadata=rule.metadata,
    )
    object.__setattr__(decision, "_rule", rule)
    object.__delattr__(decision, "reason")  # it is made from the rule when it is asked for
    return decision


def _reason(rule: Rule) -> str:
    reason = f"{_VERB[rule.effect]} by rule {rule.name!r} ({rule.id}, priority {rule.priority})"
    return f"{reason}: {rule.description}" if rule.description else reason


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


OUT_OF_DATE = "denied because the rules may be out of date"
"""How the reason of a denial begins that was made only because the rules were too old."""


def is_out_of_date(reason: str | None) -> bool:
    """Whether a recorded denial that no rule made was made because the rules were too old."""
    return reason is not None and reason.startswith(OUT_OF_DATE)


def refusal(reason: str) -> Decision:
    """A denial that no rule decided."""
    return Decision(allowed=False, effect=Effect.DENY, rule_id=None, rule_name=None, reason=reason)
