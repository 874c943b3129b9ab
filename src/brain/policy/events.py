"""The events of the policy module, declared once: payload, priority, frequency, purpose, example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict, TypeVar

from msgspec import Meta

from brain.charter import Effect, EventType, Frequency, Priority
from brain.policy.decisions import decision_of
from brain.policy.json_safe import NotJSON
from brain.policy.models import Condition, Rule
from brain.policy.operators import Operator

P = TypeVar("P")

JSONValue = str | int | float | bool | list[Any] | dict[str, Any] | None
RuleDocument = Annotated[dict[str, Any], Meta(description="The whole rule as it is now.")]


class ShadowOutcome(TypedDict):
    """What would have been decided if the shadow rules were applied."""

    rule_id: Annotated[str, Meta(description="The shadow rule that would have decided.")]
    rule_name: Annotated[str, Meta(description="Its name.")]
    effect: Annotated[str, Meta(description="ALLOW, DENY, WARN or AUDIT.")]
    allowed: Annotated[bool, Meta(description="Whether the action would have gone on.")]


class RequestContext(TypedDict):
    """The usual fields of a context: what a decision is asked for."""

    agent_id: Annotated[JSONValue, Meta(description="Who asked: a string, or null when the context named no one.")]
    agent_role: Annotated[JSONValue, Meta(description="The agent's role: a string or null.")]
    action: Annotated[JSONValue, Meta(description="What the agent wants to do: a string or null.")]
    resource: Annotated[JSONValue, Meta(description="What it wants to do it to: a string or null.")]
    environment: Annotated[JSONValue, Meta(description="Circumstances of the request; an object.")]
    params: Annotated[JSONValue, Meta(description="The action's parameters; an object.")]


CONTEXT_FIELDS = tuple(RequestContext.__annotations__)


class RuleEvaluated(RequestContext):
    """One decision, with the context it was made in, so that it can be made again under other rules."""

    rule_id: Annotated[
        str | None,
        Meta(description="The rule that decided; null for the default effect, and for rules out of date."),
    ]
    rule_name: Annotated[str | None, Meta(description="Its name.")]
    effect: Annotated[str, Meta(description="ALLOW, DENY, WARN or AUDIT.")]
    allowed: Annotated[bool, Meta(description="Whether the action may go on.")]
    reason: Annotated[str, Meta(description="Why, in words.")]
    warnings: Annotated[list[str], Meta(description="What a WARN rule has to say.")]
    evaluation_time_us: Annotated[float, Meta(description="How long the decision took, in microseconds.")]
    extra: NotRequired[Annotated[dict[str, Any], Meta(description="Further fields of the context, if it had any.")]]
    shadow: NotRequired[Annotated[ShadowOutcome, Meta(description="What a shadow rule would have decided instead.")]]
    absent: NotRequired[Annotated[list[str], Meta(description="Which of the six fields the context did not have.")]]
    not_json: NotRequired[Annotated[list[NotJSON], Meta(description="Which texts stand for values that JSON lacks.")]]


class DeniedAction(TypedDict):
    """One refusal."""

    agent_id: Annotated[JSONValue, Meta(description="Who was refused: a string or null.")]
    agent_role: Annotated[JSONValue, Meta(description="The agent's role: a string or null.")]
    action: Annotated[JSONValue, Meta(description="What was refused: a string or null.")]
    resource: Annotated[JSONValue, Meta(description="On what: a string or null.")]
    rule_id: Annotated[
        str | None,
        Meta(description="The rule that denied; null for the default effect, a guard's refusal, or rules out of date."),
    ]
    rule_name: Annotated[str | None, Meta(description="Its name.")]
    reason: Annotated[str, Meta(description="Why, in words.")]


class RuleChange(TypedDict):
    """A rule was made, removed, switched on or off."""

    rule_id: Annotated[str, Meta(description="The rule's id.")]
    rule_name: Annotated[str, Meta(description="The rule's name.")]
    rule: RuleDocument
    by: NotRequired[Annotated[str, Meta(description="Who changed it.")]]
    note: NotRequired[Annotated[str, Meta(description="Why, or on what occasion.")]]


class RuleUpdated(RuleChange):
    """A rule was changed."""

    changes: Annotated[
        dict[str, dict[str, Any]], Meta(description="What changed, by field: the old and the new value.")
    ]


class BreakerChange(TypedDict):
    """A circuit breaker opened, lets one call try, or closed."""

    name: Annotated[str, Meta(description="The breaker's name.")]
    state: Annotated[str, Meta(description="open, half_open or closed.")]
    rule_id: Annotated[str, Meta(description="The rule that refuses while it is open.")]
    until: Annotated[float | None, Meta(description="Until when, in Unix seconds; null when it is closed.")]
    reason: Annotated[str, Meta(description="Why, in words.")]
    by: NotRequired[Annotated[str, Meta(description="Who changed it.")]]


class LimitChange(TypedDict):
    """A rate limit was lowered or given up."""

    name: Annotated[str, Meta(description="The limit's name.")]
    calls: Annotated[int | None, Meta(description="How many calls are let through in a window; null: as before.")]
    window: Annotated[str, Meta(description="minute, hour or day.")]
    agent_id: Annotated[str | None, Meta(description="The agent whose limit it is; null: everybody's.")]
    rule_id: Annotated[str, Meta(description="The rule that limits.")]
    until: Annotated[float | None, Meta(description="Until when, in Unix seconds; null when it is given up.")]
    reason: Annotated[str, Meta(description="Why, in words.")]
    by: NotRequired[Annotated[str, Meta(description="Who changed it.")]]


class ApprovalStep(TypedDict):
    """One step of a person's approval of one action."""

    approval_id: Annotated[str, Meta(description="The request's id.")]
    agent_id: Annotated[JSONValue, Meta(description="Who wants to act: a string or null.")]
    agent_role: Annotated[JSONValue, Meta(description="The agent's role: a string or null.")]
    action: Annotated[JSONValue, Meta(description="What it wants to do: a string or null.")]
    resource: Annotated[JSONValue, Meta(description="On what: a string or null.")]
    params: Annotated[JSONValue, Meta(description="The action's parameters; an object.")]
    rule_id: Annotated[str | None, Meta(description="The rule that asks for the approval.")]
    reason: Annotated[str, Meta(description="Why an approval is needed or, with an answer, what the person said.")]
    expires_at: Annotated[float, Meta(description="Until when an answer counts, Unix seconds; no answer is a refusal.")]
    by: NotRequired[Annotated[str, Meta(description="Who answered.")]]


class RulesRestored(TypedDict):
    """A store came back with less than this process knew, and was given back what it had lost."""

    collection: Annotated[str, Meta(description="policy.rules or policy.measures.")]
    restored: Annotated[int, Meta(description="How many rules were written back.")]
    deleted: Annotated[int, Meta(description="How many rules were deleted again.")]
    ids: Annotated[list[str], Meta(description="Their ids, those written back first; at most 100.")]


_GUESTS = Rule(
    id="guests-delete",
    name="Guests may not delete",
    effect=Effect.DENY,
    conditions=[Condition("agent_role", Operator.EQ, "guest"), Condition("action", Operator.EQ, "delete")],
    priority=100,
    description="Deletions need a member of staff.",
    metadata={"owner": "platform-team"},
)
_RULE = _GUESTS.to_dict()
_REASON = decision_of(_GUESTS).reason
_CHANGE: RuleChange = {"rule_id": "guests-delete", "rule_name": "Guests may not delete", "rule": _RULE}

_DISABLED: RuleChange = {**_CHANGE, "rule": {**_RULE, "enabled": False}}
_UPDATED: RuleUpdated = {**_CHANGE, "changes": {"priority": {"old": 50, "new": 100}}, "by": "ann"}

RULE_EVALUATED = EventType(
    name="policy.rule_evaluated",
    module="policy",
    payload=RuleEvaluated,
    priority=Priority.HIGH,
    frequency=Frequency.HIGH,
    purpose="Every decision: who asked for what, which rule decided, and how.",
    example={
        "agent_id": "agent-7",
        "agent_role": "guest",
        "action": "delete",
        "resource": "db/customers",
        "environment": {"zone": "eu-1"},
        "params": {"rows": 3},
        "rule_id": "guests-delete",
        "rule_name": "Guests may not delete",
        "effect": "DENY",
        "allowed": False,
        "reason": _REASON,
        "warnings": [],
        "evaluation_time_us": 0.62,
    },
)
ACTION_DENIED = EventType(
    name="policy.action_denied",
    module="policy",
    payload=DeniedAction,
    priority=Priority.CRITICAL,
    frequency=Frequency.MEDIUM,
    purpose="An action was refused; repeated refusals of one agent are a sign of attack or of a fault.",
    example={
        "agent_id": "agent-7",
        "agent_role": "guest",
        "action": "delete",
        "resource": "db/customers",
        "rule_id": "guests-delete",
        "rule_name": "Guests may not delete",
        "reason": _REASON,
    },
)


def _seldom(
    name: str, payload: type[P], purpose: str, example: Mapping[str, object], priority: Priority = Priority.MEDIUM
) -> EventType[P]:
    """An event type of the module that is seldom published: about a rule, or about an approval."""
    return EventType(f"policy.{name}", "policy", payload, priority, Frequency.LOW, purpose, example)


RULE_CREATED = _seldom("rule_created", RuleChange, "A rule was added.", _CHANGE)
RULE_UPDATED = _seldom("rule_updated", RuleUpdated, "A rule was changed.", _UPDATED)
RULE_DELETED = _seldom(
    "rule_deleted",
    RuleChange,
    "A rule was removed, by hand or because its time was over; the payload holds it as it was.",
    _CHANGE,
)
RULE_ENABLED = _seldom("rule_enabled", RuleChange, "A rule takes part in decisions from now on.", _CHANGE)
RULE_DISABLED = _seldom("rule_disabled", RuleChange, "A rule takes no part in decisions from now on.", _DISABLED)
STORE_RESTORED = _seldom(
    "store_restored",
    RulesRestored,
    "The store had lost rules or measures (an older snapshot, a failover); they were written back.",
    {"collection": "policy.rules", "restored": 2, "deleted": 0, "ids": ["guests-delete", "refunds-large"]},
    Priority.CRITICAL,
)
_APPROVAL: ApprovalStep = {
    "approval_id": "apr_5b8d0c2f9a31",
    "agent_id": "agent-7",
    "agent_role": "support",
    "action": "payments.refund",
    "resource": "order/1042",
    "params": {"amount": 900},
    "rule_id": "refunds-large",
    "reason": "audited by rule 'Large refunds' (refunds-large, priority 50)",
    "expires_at": 1703001534.5,
}

_GRANTED: ApprovalStep = {**_APPROVAL, "reason": "checked with the customer", "by": "ann"}
_REFUSED: ApprovalStep = {**_APPROVAL, "reason": "the order was never paid", "by": "ann"}

APPROVAL_REQUESTED = _seldom(
    "approval_requested", ApprovalStep, "An action waits for a person's answer.", _APPROVAL, Priority.HIGH
)
APPROVAL_GRANTED = _seldom("approval_granted", ApprovalStep, "A person agreed to the action.", _GRANTED)
APPROVAL_AGREED = _seldom(
    "approval_agreed", ApprovalStep, "One of several who must agree to the action has agreed.", _GRANTED
)
APPROVAL_REFUSED = _seldom("approval_refused", ApprovalStep, "A person refused the action.", _REFUSED, Priority.HIGH)
APPROVAL_EXPIRED = _seldom(
    "approval_expired",
    ApprovalStep,
    "Nobody answered in time, so the action is refused.",
    _APPROVAL,
    Priority.HIGH,
)
APPROVAL_USED = _seldom(
    "approval_used", ApprovalStep, "The approved action was let through; an approval counts once.", _GRANTED
)

BREAKER_CHANGED = _seldom(
    "breaker_changed",
    BreakerChange,
    "A circuit breaker opened, lets one call try, or closed.",
    {
        "name": "billing",
        "state": "open",
        "rule_id": "breaker-billing",
        "until": 1703001594.5,
        "reason": "TimeoutError: no answer in 5 s",
        "by": "breaker:billing",
    },
    Priority.HIGH,
)
LIMIT_CHANGED = _seldom(
    "limit_changed",
    LimitChange,
    "A rate limit was lowered for a time, or given up.",
    {
        "name": "search",
        "calls": 10,
        "window": "minute",
        "agent_id": "agent-7",
        "rule_id": "limit-search-agent-7",
        "until": 1703001594.5,
        "reason": "playbook slow-down, run run_5f2c9b1e40a7d316",
        "by": "playbook:slow-down",
    },
)

EVENTS: tuple[EventType[Any], ...] = (
    RULE_EVALUATED,
    RULE_CREATED,
    RULE_UPDATED,
    RULE_DELETED,
    RULE_ENABLED,
    RULE_DISABLED,
    STORE_RESTORED,
    ACTION_DENIED,
    APPROVAL_REQUESTED,
    APPROVAL_AGREED,
    APPROVAL_GRANTED,
    APPROVAL_REFUSED,
    APPROVAL_EXPIRED,
    APPROVAL_USED,
    BREAKER_CHANGED,
    LIMIT_CHANGED,
)
