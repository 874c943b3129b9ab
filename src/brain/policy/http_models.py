"""The bodies and answers of the policy routes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field, model_validator

from brain import limits
from brain.charter import Effect
from brain.fields import ContextObject, ContextValue, Moment, Name, Object, Text, within
from brain.policy.analysis import RuleFinding
from brain.policy.approvals import Approval, ApprovalStatus
from brain.policy.approvers import Approvers, Grant
from brain.policy.decisions import Decision
from brain.policy.events import CONTEXT_FIELDS, RULE_CREATED, RULE_EVALUATED
from brain.policy.explain import Explanation
from brain.policy.history import Change, Version
from brain.policy.models import Condition, Mode, Rule
from brain.policy.pydantic_models import model_of, names_of
from brain.policy.replay import ReplayDifference, ReplayReport
from brain.policy.rule_import import ImportResult

_EXAMPLE_RULE: Any = RULE_CREATED.example["rule"]
_EXAMPLE_CONTEXT: Any = {name: value for name, value in RULE_EVALUATED.example.items() if name in CONTEXT_FIELDS}


class _Strict(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


EffectText = Annotated[str, Field(max_length=limits.TYPE)]
RuleId = Annotated[str, Field(max_length=limits.ID)]

if TYPE_CHECKING:
    _RuleFields = _Strict
    _RulePatchFields = _Strict
else:
    _ConditionBody = model_of(
        Condition,
        "ConditionBody",
        "One comparison of a field of the context with a value.",
        base=_Strict,
        field=Annotated[str, Field(max_length=limits.FIELD)],
        operator=EffectText,
    )
    _rule_model = partial(
        model_of,
        Rule,
        base=_Strict,
        leave_out=("id",),
        nested={Condition: _ConditionBody},
        effect=EffectText,
        mode=names_of(Mode),
    )
    _blank = Rule(id="?", name="?", effect=Effect.DENY).to_dict()
    _optional = {name: value for name, value in _blank.items() if name not in ("name", "effect")}
    _RuleFields = _rule_model("_RuleFields", "A rule but for its id.", defaults=_optional)
    _RulePatchFields = _rule_model("_RulePatchFields", "Fields of a rule, each of which may be left out.", patch=True)


class _WrittenRule(_RuleFields):
    everyone: bool = Field(default=False, description="Said of an ALLOW that has no conditions on purpose.")


class RuleBody(_WrittenRule):
    """A new rule; without an id it is given one."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RULE]})
    id: RuleId | None = Field(default=None, description="Its id; minted when left out.")


class RuleReplacement(_WrittenRule):
    """A whole rule, put in the place of the one with the id in the path."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RULE]})
    id: RuleId | None = Field(default=None, description="The id in the path, or nothing.")


class RulePatch(_RulePatchFields):
    """Fields of a rule to change; what is left out stays."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"priority": 200}]})
    everyone: bool | None = None


class RuleView(_WrittenRule):
    """A rule as it is."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RULE]})
    id: RuleId = Field(description="Its id.")


class ContextBody(BaseModel):
    """What an agent asks for; further fields may be given, and rules may refer to them."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE_CONTEXT]})
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


DecisionView: Any = model_of(Decision, "DecisionView", "The answer.", effect=names_of(Effect))


ExplanationView: Any = model_of(
    Explanation,
    "ExplanationView",
    "Why a decision falls as it does.",
    nested={Decision: DecisionView},
    rules=list[dict[str, Any]],
    considered=Annotated[int, Meta(description="How many rules there are.")],
    text=Annotated[str, Meta(description="The same for people.")],
)


class ContextsBody(_Strict):
    """Several contexts to decide on."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"contexts": [_EXAMPLE_CONTEXT, _EXAMPLE_CONTEXT]}]}
    )

    contexts: list[ContextBody] = Field(min_length=1, max_length=limits.QUESTIONS, description="At most 1,000.")


class AllowedActionsBody(_Strict):
    """A question for what an agent may do."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
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

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"rules": [_EXAMPLE_RULE]}]}
    )
    rules: list[RuleView] = Field(max_length=limits.RULES, description="New ones are added, changed ones updated.")
    replace: bool = Field(default=False, description="Also delete all rules that are not among them.")


ImportedView: Any = model_of(ImportResult, "ImportedView", "What an import or a rollback changed: ids of rules.")


ChangeView: Any = model_of(
    Change,
    "ChangeView",
    "One rule before and after; null when it was not there.",
    old=RuleView | None,
    new=RuleView | None,
)
VersionView: Any = model_of(Version, "VersionView", "One version of the rule set.", nested={Change: ChangeView})
FindingView: Any = model_of(RuleFinding, "FindingView", "Something odd about the rules.")


class ContainmentBody(_Strict):
    """An agent to stop for a time."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"agent_id": "agent-7", "ttl": 900, "reason": "stolen key"}]}
    )
    agent_id: Text = Field(min_length=1, description="Who is stopped.")
    ttl: float = Field(gt=0, le=limits.SECONDS, description="For how many seconds.")
    reason: Text = Field(min_length=1, description="Why.")
    by: Name | None = Field(default=None, description="Who says so.")


class KillSwitchBody(_Strict):
    """Stop everybody, but for a list."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
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


GrantView: Any = model_of(Grant, "GrantView", "One yes of those that are needed.")
ApproversView: Any = model_of(Approvers, "ApproversView", "Who must agree to an action, and how many.")


ApprovalView: Any = model_of(
    Approval,
    "ApprovalView",
    "A request for a person's agreement. Times are Unix seconds.",
    leave_out=("fingerprint",),
    nested={Grant: GrantView, Approvers: ApproversView},
    status=names_of(ApprovalStatus),
)


class AnswerBody(_Strict):
    """A person's answer."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"by": "ann", "reason": "checked"}]}
    )
    by: Name = Field(min_length=1, description="Who answers.")
    reason: Text = Field(default="", description="Why.")


class ReplayBody(_Strict):
    """Candidate rules to try on the recorded decisions."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"rules": [_EXAMPLE_RULE], "since": 1703001234.5}]}
    )
    rules: list[RuleView] = Field(max_length=limits.RULES, description="The candidates.")
    alone: bool = Field(default=False, description="They are the whole set; else they are laid over the present rules.")
    since: Moment | None = Field(default=None, description="From when, Unix seconds; null: seven days ago.")
    until: Moment | None = Field(default=None, description="Until when, Unix seconds; null: now.")
    examples: int = Field(default=5, ge=0, le=100, description="How many differences of each kind to show.")


DifferenceView: Any = model_of(
    ReplayDifference,
    "DifferenceView",
    "One recorded decision that would have been another.",
)
ReplayView: Any = model_of(
    ReplayReport,
    "ReplayView",
    "What the candidates would have changed.",
    leave_out=("changed",),
    unchanged=int,
    newly_denied=int,
    newly_allowed=int,
    effect_changed=Annotated[int, Meta(description="Allowed before and after, or denied, but by another effect.")],
    nested={ReplayDifference: DifferenceView},
)
