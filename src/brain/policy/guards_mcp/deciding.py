"""Decides one request by every name that a rule may use for its action. The only error is ActionDenied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from brain.errors import BrainError
from brain.logs import Log
from brain.policy.decisions import Decision, refusal
from brain.policy.guards import ActionDenied, Agent, Guard
from brain.policy.guards.threads import run_ready
from brain.policy.guards_mcp.methods import ActionRequest, Form
from brain.policy.models import Condition, Rule
from brain.policy.operators import Operator
from brain.policy.patterns import matcher

log: Log = Log("brain.guards_mcp")
failures: Counter[str] = Counter()
"""How many requests could not be decided, by the kind of fault. Each was a denial, and is in the log."""

_LAST = (1, 0, 0, "")  # the place of a decision that no rule made


class RequestDecider:
    """Decides requests of one agent by `guard`. A fault in deciding is a denial, logged and counted in `failures`."""

    def __init__(self, guard: Guard, agent: Agent | None) -> None:
        self._guard = guard
        self._agent = agent

    async def check(self, request: ActionRequest) -> None:
        """Return when the action may be done; waits for a person where a rule says so. Raises ActionDenied."""
        try:
            await self._check(request)
        except ActionDenied:
            raise
        except Exception as error:
            raise denied_by_fault("mcp_not_decided", request.actions[0], error) from error

    async def _ready(self, request: ActionRequest) -> None:
        """Have the engine ready for the request by each of its names, so that deciding waits for no database."""
        for action, resource in request.forms:
            await run_ready(self._guard.engine, self._guard.context(action, resource, request.params, self._agent))

    async def allows(self, request: ActionRequest) -> bool:
        """Whether the rules allow the action now: without an event. False when it cannot be decided."""
        try:
            await self._ready(request)
            return self._strictest(request)[1].allowed
        except ActionDenied:
            return False
        except Exception as error:  # noqa: BLE001  (whatever a rule, a context or a store may raise: it is not shown)
            denied_by_fault("mcp_not_listed", request.actions[0], error)
            return False

    async def _check(self, request: ActionRequest) -> None:
        forms = request.forms
        if len(forms) == 1:
            await self._check_form(request, forms[0])
            return
        passed: set[Form] = set()
        while True:  # a person's answer takes time: what the other names say by then counts, too
            await self._ready(request)
            form, decision = self._strictest(request)
            if form in passed and decision.allowed:
                return
            await self._check_form(request, form)
            passed.add(form)

    async def _check_form(self, request: ActionRequest, form: Form) -> None:
        action, resource = form
        await self._guard.check_async(action, resource, request.params, self._agent)

    def _strictest(self, request: ActionRequest) -> tuple[Form, Decision]:
        """The names by which the rule of highest precedence decides, and its decision. Raises ActionDenied in doubt."""
        answers = [(form, self._preview(request, form)) for form in request.forms]
        form, decision = min(answers, key=lambda answer: self._place(answer[1]))
        others = [other for _, other in answers if other.rule_id != decision.rule_id]
        if not decision.allowed or not others or self._is_about(decision, request):
            return form, decision
        refusing = [answer for answer in answers if not answer[1].allowed]
        if not refusing:
            raise ActionDenied(f"{decision.reason}; but that rule does not allow it by each of its names", decision)
        return refusing[0]

    def _preview(self, request: ActionRequest, form: Form) -> Decision:
        action, resource = form
        return self._guard.engine.preview(self._guard.context(action, resource, request.params, self._agent))

    def _place(self, decision: Decision) -> tuple[int, int, int, str]:
        """Where the decision stands in the line of precedence: the smallest counts."""
        rule = self._rule(decision)
        if rule is not None:
            return (0, *rule.order)
        if decision.rule_id is not None and not decision.allowed:
            return (-1, 0, 0, decision.rule_id)  # a measure, or a rule that is gone this instant
        return _LAST

    def _rule(self, decision: Decision) -> Rule | None:
        if decision.rule_id is None:
            return None
        try:
            return self._guard.engine.get_rule(decision.rule_id)
        except BrainError:
            return None

    def _is_about(self, decision: Decision, request: ActionRequest) -> bool:
        """Whether the rule that allows means the names it matches, and not merely fails to exclude them (`!=`)."""
        rule = self._rule(decision)
        if rule is None:
            return decision.rule_id is None
        return all(_means(condition, request) for condition in rule.conditions)


def denied_by_fault(kind: str, action: str, error: Exception) -> ActionDenied:
    """The denial of what could not be decided; the fault goes to the log, not to the caller."""
    failures[kind] += 1
    log.error("a request is denied, as it cannot be decided", kind=kind, action=action, error=repr(error))
    return ActionDenied("it could not be decided; the log of the guard says why", _undecided)


_undecided = refusal("it could not be decided")


def _means(condition: Condition, request: ActionRequest) -> bool:
    """Whether the condition says which of the several names it is about; true when there are not several."""
    names: Mapping[str, tuple[str | None, ...]] = {"action": request.actions, "resource": request.resources}
    if len(names.get(condition.field, ())) < 2 or condition.operator in (Operator.EQ, Operator.IN):
        return True
    if condition.field == "resource" or condition.operator not in (Operator.MATCHES, Operator.CONTAINS):
        return False
    if str(condition.value).lstrip("^(?:").startswith("mcp"):
        return True
    # What none of our own names holds is about the tool's own name.
    holds = matcher(condition.value) if condition.operator is Operator.MATCHES else lambda name: condition.value in name
    return not any(holds(name) for name in request.actions if name.startswith("mcp."))
