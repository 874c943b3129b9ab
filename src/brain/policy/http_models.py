"""What the policy module's HTTP routes take and give."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brain import limits
from brain.fields import ContextObject, ContextValue, Moment, Name, Object, Text, Value, within
from brain.policy.events import RULE_CREATED, RULE_EVALUATED

_EXAMPLE_RULE: Any = RULE_CREATED.example["rule"]
_EXAMPLE_CONTEXT: Any = {
    name: RULE_EVALUATED.example[name]
    for name in ("agent_id", "agent_role", "action", "resource", "environment", "params")
}

EffectName = Literal["ALLOW", "DENY", "WARN", "AUDIT"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConditionBody(_Strict):
    """One comparison of a field of the context with a value."""

    field: str = Field(
        max_length=limits.FIELD,
        description=f"A dotted path into the context, of at most {limits.FIELD_PARTS} parts; `agent.role` is "
        "`agent_role`.",
    )
    operator: str = Field(max_length=limits.TYPE, description="One of ==, !=, >, <, contains, matches, in.")
    value: Value = Field(description="What the field is compared with.")


Conditions = Annotated[list[ConditionBody], Field(max_length=limits.CONDITIONS)]
RulePriority = Annotated[int, Field(ge=-limits.PRIORITY, le=limits.PRIORITY)]
Tags = Annotated[list[Annotated[str, Field(min_length=1, max_length=limits.TYPE)]], Field(max_length=limits.TAGS)]
RuleId = Annotated[str, Field(max_length=limits.ID)]
RuleName = Annotated[str, Field(max_length=limits.NAME)]
EffectText = Annotated[str, Field(max_length=limits.TYPE)]


class _RuleFields(_Strict):
    name: RuleName = Field(description="What people call the rule.")
    effect: EffectText = Field(description="ALLOW, DENY, WARN or AUDIT.")
    conditions: Conditions = Field(default=[], description="All must hold; none: the rule always matches.")
    everyone: bool = Field(default=False, description="Said of an ALLOW that has no conditions on purpose.")
    priority: RulePriority = Field(default=0, description="The matching rule with the highest priority decides.")
    enabled: bool = Field(default=True, description="Whether the rule takes part in decisions.")
    description: Text = Field(default="", description="Shown in the reason of its decisions.")
    metadata: Object = Field(default={}, description="Whatever belongs to the rule.")
    mode: Literal["enforce", "shadow"] = Field(default="enforce", description="shadow: recorded, never applied.")
    tags: Tags = Field(default=[], description="For finding rules again.")
    not_before: Moment | None = Field(default=None, description="Takes part from here on; Unix seconds.")
    expires_at: Moment | None = Field(default=None, description="Takes part until then; Unix seconds.")


class RuleBody(_RuleFields):
    """A new rule; without an id it is given one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RULE]})
    id: RuleId | None = Field(default=None, description="Its id; minted when left out.")


class RuleReplacement(_RuleFields):
    """A whole rule, put in the place of the one with the id in the path."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RULE]})
    id: RuleId | None = Field(default=None, description="The id in the path, or nothing.")


class RulePatch(_Strict):
    """Fields of a rule to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"priority": 200}]})
    name: RuleName | None = None
    effect: EffectText | None = None
    conditions: Conditions | None = None
    everyone: bool | None = None
    priority: RulePriority | None = None
    enabled: bool | None = None
    description: Text | None = None
    metadata: Object | None = None
    mode: Literal["enforce", "shadow"] | None = None
    tags: Tags | None = None
    not_before: Moment | None = None
    expires_at: Moment | None = None


class RuleView(_RuleFields):
    """A rule as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RULE]})
    id: RuleId = Field(description="Its id.")


class ContextBody(BaseModel):
    """What an agent asks for; further fields may be given, and rules may refer to them."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE_CONTEXT]})
    __pydantic_extra__: dict[str, ContextValue]
    agent_id: Text | None = Field(default=None, description="Who asks.")
    agent_role: Text | None = Field(default=None, description="Its role.")
    action: Text = Field(description="What it wants to do.")
    resource: Text | None = Field(default=None, description="What it wants to do it to.")
    environment: ContextObject = Field(default={}, description="Circumstances of the request.")
    params: ContextObject = Field(default={}, description="The action's parameters.")

    @model_validator(mode="after")
    def _fits_into_an_event(self) -> ContextBody:
        fault = limits.size_fault(self.context(), limits.CONTEXT_BYTES)
        if fault is not None:
            raise ValueError(f"the context as a whole: {fault}")
        return self

    def context(self) -> dict[str, Any]:
        """The context for the engine; a field left out of the body is absent from it."""
        given = self.model_dump()
        optional = ("agent_id", "agent_role", "resource")
        return {k: v for k, v in given.items() if k not in optional or k in self.model_fields_set}


class DecisionView(BaseModel):
    """The answer."""

    allowed: bool = Field(description="Whether the action may go on.")
    effect: EffectName = Field(description="The effect that decided.")
    rule_id: str | None = Field(description="The rule that decided; null when the default did.")
    rule_name: str | None = Field(description="Its name.")
    reason: str = Field(description="Why, in words.")
    warnings: list[str] = Field(description="What a WARN rule has to say.")
    requires_audit: bool = Field(description="Whether the effect is AUDIT.")
    requires_approval: bool = Field(description="Whether a person has to agree first.")
    metadata: dict[str, Any] = Field(description="The metadata of the rule that decided.")


class ExplanationView(BaseModel):
    """Why a decision falls as it does."""

    decision: DecisionView
    why: str = Field(description="Why this rule decides, and not another.")
    considered: int = Field(description="How many rules there are.")
    rules: list[dict[str, Any]] = Field(description="Those that matched, and the closest of the others.")
    text: str = Field(description="The same for people.")


class ContextsBody(_Strict):
    """Several contexts to decide on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"contexts": [_EXAMPLE_CONTEXT, _EXAMPLE_CONTEXT]}]}
    )

    contexts: list[ContextBody] = Field(min_length=1, max_length=limits.QUESTIONS, description="At most 1,000.")


class AllowedActionsBody(_Strict):
    """A question for what an agent may do."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"agent": {"agent_role": "guest"}, "actions": ["read", "delete"], "resources": ["db/orders"]}]
        },
    )
    agent: Object = Field(description="The part of the context that stays the same: agent_id, agent_role, ...")
    actions: list[Text] = Field(min_length=1, max_length=limits.QUESTIONS, description="The actions in question.")
    resources: list[Text] | None = Field(
        default=None, max_length=limits.QUESTIONS, description="The resources; null: none named."
    )

    @model_validator(mode="after")
    def _not_too_many_pairs(self) -> AllowedActionsBody:
        if len(self.actions) * len(self.resources or [None]) > limits.PAIRS:
            raise ValueError(f"actions times resources are more than {limits.PAIRS:,} pairs; ask for fewer at once")
        return self


class AllowedAction(BaseModel):
    """Something the agent may do."""

    action: str
    resource: str | None


class ImportBody(_Strict):
    """A set of rules to take over."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rules": [_EXAMPLE_RULE]}]})
    rules: list[RuleView] = Field(max_length=limits.RULES, description="New ones are added, changed ones updated.")
    replace: bool = Field(default=False, description="Also delete all rules that are not among them.")


class ImportedView(BaseModel):
    """What an import or a rollback changed: ids of rules."""

    created: list[str]
    updated: list[str]
    deleted: list[str]
    unchanged: int


class ChangeView(BaseModel):
    """One rule before and after; null when it was not there."""

    old: RuleView | None
    new: RuleView | None


class VersionView(BaseModel):
    """One version of the rule set."""

    version: int = Field(description="Its number.")
    at: float = Field(description="When it came, Unix seconds.")
    by: str | None = Field(description="Who made it.")
    note: str = Field(description="Why, or on what occasion.")
    changes: list[ChangeView] = Field(description="What it changed.")


class FindingView(BaseModel):
    """Something odd about the rules."""

    kind: str = Field(description="never-wins, never-matches, contradiction, duplicate, unused-field, ...")
    rule_id: str = Field(description="The rule it is about.")
    other_id: str | None = Field(description="The rule it is compared with.")
    message: str = Field(description="What is odd, in words.")


class ContainmentBody(_Strict):
    """An agent to stop for a time."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"agent_id": "agent-7", "ttl": 900, "reason": "stolen key"}]}
    )
    agent_id: Text = Field(min_length=1, description="Who is stopped.")
    ttl: float = Field(gt=0, le=limits.SECONDS, description="For how many seconds.")
    reason: Text = Field(min_length=1, description="Why.")
    by: Name | None = Field(default=None, description="Who says so.")


class KillSwitchBody(_Strict):
    """Stop everybody, but for a list."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"allow": ["agent-ops"], "reason": "incident 12"}]}
    )
    allow: Annotated[list[Text], within(limits.ALLOW_BYTES)] = Field(
        default=[], max_length=limits.QUESTIONS, description="Agents for whom the rules go on to decide."
    )
    ttl: float | None = Field(
        default=None, gt=0, le=limits.SECONDS, description="For how many seconds; null: until it is lifted."
    )
    reason: Text = Field(min_length=1, description="Why.")
    by: Name | None = Field(default=None, description="Who says so.")


class KillSwitchView(BaseModel):
    """The kill switch."""

    on: bool
    rule: RuleView | None = Field(description="The rule that denies, while it is on.")


class ApprovalView(BaseModel):
    """A request for a person's agreement. Times are Unix seconds."""

    id: str
    status: Literal["PENDING", "GRANTED", "REFUSED", "EXPIRED", "USED"]
    context: dict[str, Any] = Field(description="What the agent wants to do.")
    rule_id: str | None = Field(description="The rule that asks for the approval.")
    rule_name: str | None
    reason: str = Field(description="Why an approval is needed.")
    requested_at: float
    expires_at: float = Field(description="Until when an answer counts; none in time is a refusal.")
    answered_by: str | None
    answer: str | None = Field(description="What the person said.")
    answered_at: float | None


class AnswerBody(_Strict):
    """A person's answer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"by": "ann", "reason": "checked"}]})
    by: Name = Field(min_length=1, description="Who answers.")
    reason: Text = Field(default="", description="Why.")


class ReplayBody(_Strict):
    """Candidate rules to try on the recorded decisions."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"rules": [_EXAMPLE_RULE], "since": 1703001234.5}]}
    )
    rules: list[RuleView] = Field(max_length=limits.RULES, description="The candidates.")
    alone: bool = Field(default=False, description="They are the whole set; else they are laid over the present rules.")
    since: Moment | None = Field(default=None, description="From when, Unix seconds; null: seven days ago.")
    until: Moment | None = Field(default=None, description="Until when, Unix seconds; null: now.")
    examples: int = Field(default=5, ge=0, le=100, description="How many differences of each kind to show.")


class DifferenceView(BaseModel):
    """One recorded decision that would have been another."""

    kind: Literal["newly_denied", "newly_allowed", "effect_changed"]
    event_id: str
    timestamp: float
    context: dict[str, Any]
    before: dict[str, Any] = Field(description="The recorded effect, and the rule that decided.")
    after: dict[str, Any] = Field(description="The effect under the candidates, the rule, and its reason.")


class ReplayView(BaseModel):
    """What the candidates would have changed."""

    decisions: int = Field(description="How many recorded decisions were made again.")
    skipped: int = Field(description="Decisions of containments and the kill switch, and unreadable ones.")
    first: float | None = Field(description="The time of the first.")
    last: float | None = Field(description="The time of the last.")
    unchanged: int
    newly_denied: int
    newly_allowed: int
    effect_changed: int = Field(description="Allowed before and after, or denied, but by another effect.")
    by_agent: dict[str, dict[str, int]] = Field(description="Changes by agent and kind.")
    by_action: dict[str, dict[str, int]] = Field(description="Changes by action and kind.")
    by_rule: dict[str, dict[str, int]] = Field(description="Changes by the rule that decides now, and kind.")
    examples: list[DifferenceView]
