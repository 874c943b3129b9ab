"""The events of the policy module, declared once: payload, priority, frequency, purpose, example."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

JSONValue = str | int | float | bool | list[Any] | dict[str, Any] | None
RuleDocument = Annotated[dict[str, Any], Meta(description="The whole rule as it is now.")]


class ShadowOutcome(TypedDict):
    """What would have been decided if the shadow rules were applied."""

    rule_id: Annotated[str, Meta(description="The shadow rule that would have decided.")]
    rule_name: Annotated[str, Meta(description="Its name.")]
    effect: Annotated[str, Meta(description="ALLOW, DENY, WARN or AUDIT.")]
    allowed: Annotated[bool, Meta(description="Whether the action would have gone on.")]


class NotJSON(TypedDict):
    """A value of the context that JSON cannot hold: in its place is a text, which says what it was."""

    path: Annotated[list[str | int], Meta(description="Where it is: keys, and places in lists, from the context on.")]
    kind: Annotated[str, Meta(description="`number`, `opaque` (no rule sees it), or `escaped` (no valid text).")]


class RuleEvaluated(TypedDict):
    """One decision, with the context it was made in, so that it can be made again under other rules."""

    agent_id: Annotated[JSONValue, Meta(description="Who asked: a string, or null when the context named no one.")]
    agent_role: Annotated[JSONValue, Meta(description="The agent's role: a string or null.")]
    action: Annotated[JSONValue, Meta(description="What the agent wants to do: a string or null.")]
    resource: Annotated[JSONValue, Meta(description="What it wants to do it to: a string or null.")]
    environment: Annotated[JSONValue, Meta(description="Circumstances of the request; an object.")]
    params: Annotated[JSONValue, Meta(description="The action's parameters; an object.")]
    rule_id: Annotated[str | None, Meta(description="The rule that decided; null when the default effect did.")]
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
    rule_id: Annotated[str | None, Meta(description="The rule that denied; null when the default effect did.")]
    rule_name: Annotated[str | None, Meta(description="Its name.")]
    reason: Annotated[str, Meta(description="Why, in words.")]


class RuleChange(TypedDict):
    """A rule was made, removed, switched on or off."""

    rule_id: Annotated[str, Meta(description="The rule's id.")]
    rule_name: Annotated[str, Meta(description="The rule's name.")]
    rule: RuleDocument
    by: NotRequired[Annotated[str, Meta(description="Who changed it.")]]
    note: NotRequired[Annotated[str, Meta(description="Why, or on what occasion.")]]


class RuleUpdated(TypedDict):
    """A rule was changed."""

    rule_id: Annotated[str, Meta(description="The rule's id.")]
    rule_name: Annotated[str, Meta(description="The rule's name, as it is now.")]
    rule: RuleDocument
    changes: Annotated[
        dict[str, dict[str, Any]], Meta(description="What changed, by field: the old and the new value.")
    ]
    by: NotRequired[Annotated[str, Meta(description="Who changed it.")]]
    note: NotRequired[Annotated[str, Meta(description="Why, or on what occasion.")]]


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


_RULE: dict[str, Any] = {
    "id": "guests-delete",
    "name": "Guests may not delete",
    "effect": "DENY",
    "conditions": [
        {"field": "agent_role", "operator": "==", "value": "guest"},
        {"field": "action", "operator": "==", "value": "delete"},
    ],
    "priority": 100,
    "enabled": True,
    "description": "Deletions need a member of staff.",
    "metadata": {"owner": "platform-team"},
    "mode": "enforce",
    "tags": [],
    "not_before": None,
    "expires_at": None,
}
_REASON = "denied by rule 'Guests may not delete' (guests-delete, priority 100): Deletions need a member of staff."
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
RULE_CREATED = EventType(
    name="policy.rule_created",
    module="policy",
    payload=RuleChange,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A rule was added.",
    example=_CHANGE,
)
RULE_UPDATED = EventType(
    name="policy.rule_updated",
    module="policy",
    payload=RuleUpdated,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A rule was changed.",
    example=_UPDATED,
)
RULE_DELETED = EventType(
    name="policy.rule_deleted",
    module="policy",
    payload=RuleChange,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A rule was removed, by hand or because its time was over; the payload holds it as it was.",
    example=_CHANGE,
)
RULE_ENABLED = EventType(
    name="policy.rule_enabled",
    module="policy",
    payload=RuleChange,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A rule takes part in decisions from now on.",
    example=_CHANGE,
)
RULE_DISABLED = EventType(
    name="policy.rule_disabled",
    module="policy",
    payload=RuleChange,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A rule takes no part in decisions from now on.",
    example=_DISABLED,
)

STORE_RESTORED = EventType(
    name="policy.store_restored",
    module="policy",
    payload=RulesRestored,
    priority=Priority.CRITICAL,
    frequency=Frequency.LOW,
    purpose="The store had lost rules or measures (an older snapshot, a failover); they were written back.",
    example={"collection": "policy.rules", "restored": 2, "deleted": 0, "ids": ["guests-delete", "refunds-large"]},
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

APPROVAL_REQUESTED = EventType(
    name="policy.approval_requested",
    module="policy",
    payload=ApprovalStep,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="An action waits for a person's answer.",
    example=_APPROVAL,
)
APPROVAL_GRANTED = EventType(
    name="policy.approval_granted",
    module="policy",
    payload=ApprovalStep,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A person agreed to the action.",
    example=_GRANTED,
)
APPROVAL_REFUSED = EventType(
    name="policy.approval_refused",
    module="policy",
    payload=ApprovalStep,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A person refused the action.",
    example=_REFUSED,
)
APPROVAL_EXPIRED = EventType(
    name="policy.approval_expired",
    module="policy",
    payload=ApprovalStep,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="Nobody answered in time, so the action is refused.",
    example=_APPROVAL,
)
APPROVAL_USED = EventType(
    name="policy.approval_used",
    module="policy",
    payload=ApprovalStep,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="The approved action was let through; an approval counts once.",
    example=_GRANTED,
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
    APPROVAL_GRANTED,
    APPROVAL_REFUSED,
    APPROVAL_EXPIRED,
    APPROVAL_USED,
)
