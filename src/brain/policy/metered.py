"""An engine whose rules may ask for usage and which counts what it lets through."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from brain.errors import InvalidInput, Unavailable
from brain.logs import Log
from brain.policy.decisions import Decision
from brain.policy.engine import PolicyEngine
from brain.policy.explain import Explanation
from brain.policy.operators import Operator
from brain.policy.ruleset import RulesSnapshot
from brain.policy.usage import UsageField, UsageMeter, usage_field
from brain.policy.values import spread_agent

log: Log = Log("brain.policy")

_evaluate = PolicyEngine.evaluate

UNKNOWN = "unknown"
"""A usage that cannot be read: no number, so a DENY rule on it counts as matched and an ALLOW rule does not."""


class MeteredEngine(PolicyEngine):
    """A PolicyEngine with conditions on `usage.*`, over the counters of `meter`; options are the engine's.

    While no rule asks for usage nothing is counted. A `usage` that the caller gives is replaced.
    """

    def __init__(self, meter: UsageMeter, *args: Any, **options: Any) -> None:
        self.meter = meter
        self._seen: RulesSnapshot | None = None
        self._fields: tuple[UsageField, ...] = ()
        super().__init__(*args, **options)

    def evaluate(self, context: Mapping[str, Any]) -> Decision:
        """As the engine's; a call that is let through counts."""
        fields = self._fields if self._rules.current is self._seen else self._asked()
        if not fields or (type(context) is not dict and not isinstance(context, Mapping)):
            return _evaluate(self, context)
        if "agent" in context:
            context = spread_agent(dict(context))
        agent, tool = _who(context)
        values = self._counted(self.meter.take, agent, tool, fields)
        allowed = False
        try:
            decision = _evaluate(self, _with(context, fields, values))
            allowed = decision.allowed
        finally:
            if not allowed and values is not None:
                self.meter.give_back(agent, tool, fields, values)
        return decision

    def preview(self, context: Mapping[str, Any]) -> Decision:
        """As the engine's; nothing is counted."""
        return super().preview(self._seen_now(context))

    def explain(self, context: Mapping[str, Any]) -> Explanation:
        """As the engine's; nothing is counted."""
        return super().explain(self._seen_now(context))

    def _seen_now(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        fields = self._asked()
        if not fields or not isinstance(context, Mapping):
            return context
        context = spread_agent(dict(context))
        agent, tool = _who(context)
        return _with(context, fields, self._counted(self.meter.peek, agent, tool, fields))

    def _asked(self) -> tuple[UsageField, ...]:
        """The usage that the present rules ask for; looked up once for each set of rules."""
        rules = self._rules.current
        if rules is not self._seen:
            self._fields = _fields(rules)
            self._seen = rules
        return self._fields

    def _counted(
        self, read: Callable[..., list[float]], agent: str, tool: str, fields: Sequence[UsageField]
    ) -> list[float] | None:
        try:
            return read(agent, tool, fields)
        except Unavailable as error:
            log.warning(f"usage cannot be read, so it counts as unknown: {error}")
            return None


def _who(context: Mapping[str, Any]) -> tuple[str, str]:
    return str(context.get("agent_id") or ""), str(context.get("action") or "")


def _with(context: Mapping[str, Any], fields: Sequence[UsageField], values: Sequence[float] | None) -> dict[str, Any]:
    usage: dict[str, Any] = {}
    for at, one in enumerate(fields):
        node = usage.setdefault("tool", {}) if one.tool else usage
        value = UNKNOWN if values is None else values[at]
        node.setdefault(one.kind, {})[one.window] = value
    return {**context, "usage": usage}


def _fields(rules: RulesSnapshot) -> tuple[UsageField, ...]:
    """The fields that conditions name, each with the numbers from which a condition turns."""
    bounds: dict[str, set[float]] = {}
    for rule in rules.rules.values():
        for condition in rule.conditions:
            if condition.field.startswith("usage.") and rule.enabled:
                turns = bounds.setdefault(condition.field, set())
                if type(condition.value) in (int, float):
                    above = condition.operator is not Operator.LT
                    turns.add(math.floor(condition.value) + 1 if above else math.ceil(condition.value))
    found = []
    for path, turns in bounds.items():
        try:
            found.append(usage_field(path, turns))
        except InvalidInput:  # a field of that name that is none of ours stays missing
            log.warning(f"a rule asks for {path}, which is no usage")
    return tuple(found)
