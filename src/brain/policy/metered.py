"""An engine whose rules may ask for usage and which counts what it lets through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import perf_counter_ns
from typing import Any, Final

from brain.charter import Effect
from brain.errors import Unavailable
from brain.logs import Log
from brain.policy.compiler import DECISION
from brain.policy.decisions import Decision
from brain.policy.engine import PolicyEngine
from brain.policy.explain import Explanation
from brain.policy.normalisation import unwrap
from brain.policy.ruleset import RulesSnapshot
from brain.policy.usage import UsageMeter
from brain.policy.usage_counters import BLOCK, UNCHECKED, Block
from brain.policy.usage_plan import UsagePlan, tree
from brain.policy.usage_store import UsageStore
from brain.policy.values import spread_agent

log: Log = Log("brain.policy")

_evaluate = PolicyEngine.evaluate

UNKNOWN: Final = "unknown"
"""A usage that cannot be read: no number, so a DENY rule on it counts as matched and an ALLOW rule does not."""


class MeteredEngine(PolicyEngine):
    """A PolicyEngine with conditions on `usage.*`, over the counters of `meter`; options are the engine's.

    While no rule asks for usage nothing is counted. A `usage` that the caller gives is replaced. A decision counts in
    memory; it waits for the database only where an agent's numbers are not leased yet: `ready` says so beforehand.
    """

    def __init__(self, meter: UsageMeter, *args: Any, **options: Any) -> None:
        self.meter = meter
        self.buckets: UsageStore | None = meter.store
        self._now_used = meter.clock
        super().__init__(*args, **options)
        self._plan = self._new_plan(self._rules.current)

    def evaluate(self, context: Mapping[str, Any]) -> Decision:
        """As the engine's; a call that is let through counts."""
        plan = self._plan
        if plan.rules is not self._rules.current:
            plan = self._planned()
        if not plan.simple or type(context) is not dict or "agent" in context:
            return self._evaluate_any(context) if plan.fields else _evaluate(self, context)
        try:
            block = plan.blocks[(context["agent_id"], context["action"]) if plan.by_tool else context["agent_id"]]
            number = block.numbers.pop()
        except (LookupError, TypeError):
            return self._evaluate_any(context)
        if not number & block.unchecked:
            return self._checked(plan, block, number, context)
        decision: Decision = block.find(context)[DECISION]
        if not decision.allowed:
            block.numbers.append(number)
            block.refused = True
        return decision

    def evaluate_many(self, contexts: Iterable[Mapping[str, Any]]) -> list[Decision]:
        """As the engine's; each call that is let through counts for the next ones."""
        if not self._planned().fields:
            return super().evaluate_many(contexts)
        return [self.evaluate(context) for context in contexts]

    def _evaluate_any(self, context: Mapping[str, Any]) -> Decision:
        plan = self._planned()
        if not plan.fields or not isinstance(context, Mapping):
            return _evaluate(self, context)
        plain = _plain(context)
        block = plan.blocks.get(_key(plan, plain))
        try:
            if block is not None:
                return self._checked(plan, block, block.numbers.pop(), plain)
        except IndexError:
            pass
        return self._refilled_and_decided(plan, plain)

    def _checked(self, plan: UsagePlan, block: Block, number: int, context: dict[str, Any]) -> Decision:
        """The decision on a call with that number, unless the block is over."""
        if self._now_used() >= block.until:
            block.numbers.append(number)  # it may be good for another of its counters
            return self._refilled_and_decided(plan, context)
        if number >= block.low:
            self.meter.running_low(block)
        decision = self._decided(plan, block, number, context)
        if not decision.allowed:
            if not block.numbers and self.meter.keeps_time:  # most likely the cap: only the meter's thread ends this
                block.unchecked = BLOCK
            block.numbers.append(number)
            block.refused = True
        return decision

    def _refilled_and_decided(self, plan: UsagePlan, context: dict[str, Any]) -> Decision:
        found = self._counted(plan, context)
        if found is None:
            return _evaluate(self, {**context, "usage": tree(plan.fields, [UNKNOWN] * len(plan.fields))})
        return self._checked(plan, *found, context)

    def _decided(self, plan: UsagePlan, block: Block, number: int, context: dict[str, Any]) -> Decision:
        """The decision on a call with that number, recorded."""
        find, record = block.find, self._record
        if find is None:
            return _evaluate(self, {**context, "usage": tree(plan.fields, block.usage(number))})
        if record is None:
            decision: Decision = find(context)[DECISION]
            return decision
        started = perf_counter_ns()
        entry = find(context)
        took_us = (perf_counter_ns() - started) / 1000
        decision = entry[DECISION]
        if self._sampled is None or decision.effect is not Effect.ALLOW or self._random() < self._sampled:
            record(context, entry, took_us, None, {"usage": tree(plan.fields, block.usage(number))})
        return decision

    def preview(self, context: Mapping[str, Any]) -> Decision:
        """As the engine's; nothing is counted."""
        return super().preview(self._seen_now(context))

    def explain(self, context: Mapping[str, Any]) -> Explanation:
        """As the engine's; nothing is counted."""
        return super().explain(self._seen_now(context))

    def ready(self, context: Mapping[str, Any]) -> bool:
        """As the engine's: whether this agent's numbers are at hand."""
        plan = self._planned()
        if not plan.fields:
            return True
        block = plan.blocks.get(_key(plan, _plain(context)))
        return block is not None and self._now_used() < block.until and bool(block.numbers)

    def prepare(self, context: Mapping[str, Any]) -> None:
        """As the engine's: lease this agent's numbers."""
        if not self.ready(context):
            found = self._counted(self._plan, _plain(context))
            if found is not None:
                block, number = found
                block.numbers.append(number)

    def close(self) -> None:
        """As the engine's; what is leased and not used is given back."""
        super().close()
        self.meter.close()

    def _seen_now(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        plan = self._planned()
        if not plan.fields or not isinstance(context, Mapping):
            return context
        plain = _plain(context)
        found = self._counted(plan, plain)
        if found is None:
            return {**plain, "usage": tree(plan.fields, [UNKNOWN] * len(plan.fields))}
        block, number = found
        block.numbers.append(number)
        return {**plain, "usage": tree(plan.fields, block.usage(number))}

    def _planned(self) -> UsagePlan:
        """What the present rules ask for; looked up once for each set of rules."""
        rules: RulesSnapshot = self._now()
        if self._plan.rules is not rules:
            self._plan = self._new_plan(rules)
        return self._plan

    def _new_plan(self, rules: RulesSnapshot) -> UsagePlan:
        return UsagePlan(rules, self._clock, recorded=self._record is not None)

    def _refilled(self, plan: UsagePlan, context: Mapping[str, Any]) -> Block:
        """A block for the agent; it may wait for the database. Raises Unavailable."""
        agent, tool = _who(context)
        block = self.meter.block(plan, _key(plan, context), agent, tool, plan.fields)
        block.find = plan.find(block.usage(1))
        if block.find is not None and len(block.numbers) > UNCHECKED and self.meter.keeps_time:
            block.unchecked = UNCHECKED
        return block

    def _counted(self, plan: UsagePlan, context: Mapping[str, Any]) -> tuple[Block, int] | None:
        """A number for this call, and its block; None where no usage can be read, which is logged."""
        while True:
            try:
                block = self._refilled(plan, context)
                return block, block.numbers.pop()
            except IndexError:  # other threads were quicker
                continue
            except Unavailable as error:
                log.warning(f"usage cannot be read, so it counts as unknown: {error}")
                return None


def _plain(context: Mapping[str, Any]) -> dict[str, Any]:
    """The context as a dict, its agent spread, without a usage that the caller gave."""
    if type(context) is dict and "agent" not in context and "usage" not in context:
        return context
    plain = dict(spread_agent(dict(context)))
    plain.pop("usage", None)
    return plain


def _who(context: Mapping[str, Any]) -> tuple[str, str]:
    return _text(context.get("agent_id")), _text(context.get("action"))


def _text(value: object) -> str:
    return value if type(value) is str else str(unwrap(value) or "")


def _key(plan: UsagePlan, context: Mapping[str, Any]) -> Any:
    agent, tool = _who(context)
    return (agent, tool) if plan.by_tool else agent
