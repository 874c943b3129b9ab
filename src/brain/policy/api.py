"""HTTP: rules and decisions under `/policy`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, status
from pydantic import BaseModel, ConfigDict, Field

from brain.policy.engine import PolicyEngine
from brain.policy.events import RULE_CREATED, RULE_EVALUATED
from brain.policy.models import Rule
from brain.store import Store
from brain.stream.publisher import Publisher

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

    field: str = Field(description="A dotted path into the context; `agent.role` is `agent_role`.")
    operator: str = Field(description="One of ==, !=, >, <, contains, matches, in.")
    value: Any = Field(description="What the field is compared with.")


class _RuleFields(_Strict):
    name: str = Field(description="What people call the rule.")
    effect: str = Field(description="ALLOW, DENY, WARN or AUDIT.")
    conditions: list[ConditionBody] = Field(default=[], description="All must hold; none: the rule always matches.")
    priority: int = Field(default=0, description="The matching rule with the highest priority decides.")
    enabled: bool = Field(default=True, description="Whether the rule takes part in decisions.")
    description: str = Field(default="", description="Shown in the reason of its decisions.")
    metadata: dict[str, Any] = Field(default={}, description="Whatever belongs to the rule.")
    mode: Literal["enforce", "shadow"] = Field(default="enforce", description="shadow: recorded, never applied.")
    tags: list[str] = Field(default=[], description="For finding rules again.")
    not_before: float | None = Field(default=None, description="Takes part from here on; Unix seconds.")
    expires_at: float | None = Field(default=None, description="Takes part until then; Unix seconds.")


class RuleBody(_RuleFields):
    """A new rule; without an id it is given one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RULE]})
    id: str | None = Field(default=None, description="Its id; minted when left out.")


class RuleReplacement(_RuleFields):
    """A whole rule, put in the place of the one with the id in the path."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RULE]})
    id: str | None = Field(default=None, description="The id in the path, or nothing.")


class RulePatch(_Strict):
    """Fields of a rule to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"priority": 200}]})
    name: str | None = None
    effect: str | None = None
    conditions: list[ConditionBody] | None = None
    priority: int | None = None
    enabled: bool | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    mode: Literal["enforce", "shadow"] | None = None
    tags: list[str] | None = None
    not_before: float | None = None
    expires_at: float | None = None


class RuleView(_RuleFields):
    """A rule as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE_RULE]})
    id: str = Field(description="Its id.")


class ContextBody(BaseModel):
    """What an agent asks for; further fields may be given, and rules may refer to them."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE_CONTEXT]})
    agent_id: str | None = Field(default=None, description="Who asks.")
    agent_role: str | None = Field(default=None, description="Its role.")
    action: str = Field(description="What it wants to do.")
    resource: str | None = Field(default=None, description="What it wants to do it to.")
    environment: dict[str, Any] = Field(default={}, description="Circumstances of the request.")
    params: dict[str, Any] = Field(default={}, description="The action's parameters.")

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


@asynccontextmanager
async def open_module(stream: Publisher, store: Store) -> AsyncIterator[APIRouter]:
    """The policy router over rules kept in `store`, its events going to `stream`."""
    engine = await asyncio.to_thread(PolicyEngine, stream, store=store)
    try:
        yield make_router(engine)
    finally:
        await asyncio.to_thread(engine.close)


def make_router(engine: PolicyEngine) -> APIRouter:
    """The routes of one engine."""
    router = APIRouter(prefix="/policy", tags=["policy"])

    @router.get("/rules", response_model=list[RuleView])
    async def list_rules(
        enabled: Annotated[bool | None, Query(description="Only enabled, or only disabled, rules.")] = None,
        tag: Annotated[str | None, Query(description="Only rules with this tag.")] = None,
    ) -> list[dict[str, Any]]:
        """All rules in order of precedence."""
        rules = engine.rules()
        rules = [rule for rule in rules if enabled is None or rule.enabled == enabled]
        return [rule.to_dict() for rule in rules if tag is None or tag in rule.tags]

    @router.post("/rules", status_code=status.HTTP_201_CREATED, response_model=RuleView)
    async def create_rule(body: RuleBody) -> dict[str, Any]:
        """Add a rule."""
        plain = body.model_dump()
        rule = Rule.from_dict({**plain, "id": body.id or f"rule_{secrets.token_hex(6)}"})
        return (await asyncio.to_thread(engine.add_rule, rule)).to_dict()

    @router.get("/rules/{rule_id}", response_model=RuleView)
    async def get_rule(rule_id: str) -> dict[str, Any]:
        """One rule."""
        return engine.get_rule(rule_id).to_dict()

    @router.put("/rules/{rule_id}", response_model=RuleView)
    async def replace_rule(rule_id: str, body: RuleReplacement) -> dict[str, Any]:
        """Replace a rule."""
        rule = Rule.from_dict({**body.model_dump(), "id": body.id or rule_id})
        return (await asyncio.to_thread(engine.update_rule, rule_id, rule)).to_dict()

    @router.patch("/rules/{rule_id}", response_model=RuleView)
    async def change_rule(rule_id: str, body: RulePatch) -> dict[str, Any]:
        """Change fields of a rule."""
        return (await asyncio.to_thread(engine.update_rule, rule_id, body.model_dump(exclude_unset=True))).to_dict()

    @router.delete("/rules/{rule_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def delete_rule(rule_id: str) -> None:
        """Remove a rule."""
        await asyncio.to_thread(engine.delete_rule, rule_id)

    @router.post("/rules/{rule_id}/enable", response_model=RuleView)
    async def enable_rule(rule_id: str) -> dict[str, Any]:
        """Let a rule take part in decisions."""
        return (await asyncio.to_thread(engine.enable_rule, rule_id)).to_dict()

    @router.post("/rules/{rule_id}/disable", response_model=RuleView)
    async def disable_rule(rule_id: str) -> dict[str, Any]:
        """Leave a rule out of decisions."""
        return (await asyncio.to_thread(engine.disable_rule, rule_id)).to_dict()

    @router.post("/evaluate", response_model=DecisionView)
    async def evaluate(body: ContextBody) -> dict[str, Any]:
        """Decide, and record the decision."""
        return engine.evaluate(body.context()).to_dict()

    @router.post("/explain", response_model=ExplanationView)
    async def explain(
        body: Annotated[ContextBody, Body()],
        limit: Annotated[int, Query(ge=1, le=1000, description="How many rules to show.")] = 50,
    ) -> dict[str, Any]:
        """Why the decision for this context falls as it does; nothing is recorded."""
        explanation = await asyncio.to_thread(engine.explain, body.context())
        return {**explanation.to_dict(limit), "text": explanation.text(limit)}

    return router
