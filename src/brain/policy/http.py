"""The HTTP routes under `/policy`: decisions, rules, measures and approvals."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Body, Path, Query, Response, status

from brain import limits
from brain.kit.agent_scope import check_agent, identified
from brain.kit.doer import doer
from brain.kit.http import creates_nothing
from brain.kit.idempotency import request_key, token_for
from brain.policy.analysis import analyse
from brain.policy.approvals import Approval, ApprovalStatus
from brain.policy.engine import PolicyEngine
from brain.policy.files import rule_from, rules_from, written
from brain.policy.guards.threads import run_ready
from brain.policy.http_models import (
    AllowedAction,
    AllowedActionsBody,
    AnswerBody,
    ApprovalView,
    ContainmentBody,
    ContextBody,
    ContextsBody,
    DecisionView,
    ExplanationView,
    FindingView,
    ImportBody,
    ImportedView,
    KillSwitchBody,
    KillSwitchView,
    ReplayBody,
    ReplayView,
    RuleBody,
    RulePatch,
    RuleReplacement,
    RuleView,
    VersionView,
)
from brain.policy.models import EVERYONE
from brain.policy.replay import Replay, overlaid, replay
from brain.policy.schema import policy_schema
from brain.stream import EventStream

_OF_THE_MOMENT = creates_nothing("a decision holds for the moment it is made in; an old one must not be given again")
_READS = creates_nothing("it only reads")
_WEEK = 7 * 86_400.0

ByQuery = Annotated[str | None, Query(max_length=limits.ID, description="Who makes the change; recorded with it.")]
RuleIdPath = Annotated[str, Path(max_length=limits.ID, description="The rule's id.")]
VersionPath = Annotated[int, Path(ge=0, le=limits.COUNT, description="The version's number; 0: before the first.")]
ApprovalIdPath = Annotated[str, Path(max_length=limits.ID, description="The request's id.")]
AgentIdPath = Annotated[str, Path(max_length=limits.TEXT, description="The agent's id.")]


def make_router(engine: PolicyEngine, stream: EventStream) -> APIRouter:
    """The routes of one engine; replay reads from `stream`."""
    router = APIRouter(prefix="/policy", tags=["policy"])
    _decisions(router, engine)
    _rules(router, engine)
    _rule_changes(router, engine)
    _sets(router, engine, stream)
    _versions(router, engine)
    _containments(router, engine)
    _kill_switch(router, engine)
    _approvals(router, engine)
    return router


def _decisions(router: APIRouter, engine: PolicyEngine) -> None:
    @router.post("/evaluate", response_model=DecisionView, openapi_extra=_OF_THE_MOMENT)
    async def evaluate(body: ContextBody) -> Response:
        """Decide, and record the decision."""
        context = _asked(body)
        await run_ready(engine, context)
        return _json(engine.evaluate(context))

    @router.post("/evaluate-many", response_model=list[DecisionView], openapi_extra=_OF_THE_MOMENT)
    @router.post("/evaluate/batch", response_model=list[DecisionView], openapi_extra=_OF_THE_MOMENT, deprecated=True)
    async def evaluate_many(body: ContextsBody) -> Response:
        """Decide on several contexts, and record the decisions."""
        contexts = [_asked(one) for one in body.contexts]
        for context in contexts:
            await run_ready(engine, context)
        return _json(engine.evaluate_many(contexts))

    @router.post("/allowed-actions", response_model=list[AllowedAction], openapi_extra=_READS)
    async def allowed_actions(body: AllowedActionsBody) -> list[dict[str, str | None]]:
        """What an agent may do, of some actions on some resources; nothing is recorded."""
        base = identified(body.agent, check_agent(body.agent))
        targets = body.resources if body.resources is not None else [None]
        allowed = await asyncio.to_thread(engine.allowed_actions, base, body.actions, targets)
        return [{"action": action, "resource": resource} for action, resource in allowed]

    @router.post("/explain", response_model=ExplanationView, openapi_extra=_READS)
    async def explain(
        body: Annotated[ContextBody, Body()],
        limit: Annotated[int, Query(ge=1, le=1000, description="How many rules to show.")] = 50,
    ) -> dict[str, Any]:
        """Why the decision for this context falls as it does; nothing is recorded."""
        explanation = await asyncio.to_thread(engine.explain, _asked(body))
        return {**explanation.to_dict(limit), "text": explanation.text(limit)}


def _rules(router: APIRouter, engine: PolicyEngine) -> None:
    @router.get("/rules", response_model=list[RuleView])
    async def list_rules(
        enabled: Annotated[bool | None, Query(description="Only enabled, or only disabled, rules.")] = None,
        tag: Annotated[str | None, Query(max_length=limits.TYPE, description="Only rules with this tag.")] = None,
    ) -> Response:
        """All rules in order of precedence."""
        rules = engine.rules()
        rules = [rule for rule in rules if enabled is None or rule.enabled == enabled]
        return _json([written(rule) for rule in rules if tag is None or tag in rule.tags])

    @router.post("/rules", status_code=status.HTTP_201_CREATED, response_model=RuleView)
    async def create_rule(body: RuleBody, response: Response, by: ByQuery = None) -> dict[str, Any]:
        """Add a rule."""
        plain = body.model_dump()
        rule = rule_from({**plain, "id": body.id or f"rule_{token_for('rule', request_key(), 12)}"})
        await asyncio.to_thread(engine.add_rule, rule, by=doer(by), key=request_key())
        response.headers["Location"] = f"/api/policy/rules/{quote(rule.id, safe='')}"
        return written(rule)

    @router.get("/rules/{rule_id}", response_model=RuleView)
    async def get_rule(rule_id: RuleIdPath) -> dict[str, Any]:
        """One rule."""
        return written(engine.get_rule(rule_id))


def _rule_changes(router: APIRouter, engine: PolicyEngine) -> None:
    @router.put("/rules/{rule_id}", response_model=RuleView)
    async def replace_rule(rule_id: RuleIdPath, body: RuleReplacement, by: ByQuery = None) -> dict[str, Any]:
        """Replace a rule."""
        rule = rule_from({**body.model_dump(), "id": body.id or rule_id})
        return written(await asyncio.to_thread(engine.update_rule, rule_id, rule, by=doer(by)))

    @router.patch("/rules/{rule_id}", response_model=RuleView)
    async def change_rule(rule_id: RuleIdPath, body: RulePatch, by: ByQuery = None) -> dict[str, Any]:
        """Change fields of a rule."""
        changed = body.model_dump(exclude_unset=True)
        if not changed.keys().isdisjoint(("effect", "conditions", EVERYONE)):
            rule_from({**engine.get_rule(rule_id).to_dict(), **changed})
        return written(await asyncio.to_thread(engine.update_rule, rule_id, changed, by=doer(by)))

    @router.delete("/rules/{rule_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def delete_rule(rule_id: RuleIdPath, by: ByQuery = None) -> None:
        """Remove a rule."""
        await asyncio.to_thread(engine.delete_rule, rule_id, by=doer(by))

    @router.post("/rules/{rule_id}/enable", response_model=RuleView)
    async def enable_rule(rule_id: RuleIdPath, by: ByQuery = None) -> dict[str, Any]:
        """Let a rule take part in decisions."""
        return written(await asyncio.to_thread(engine.enable_rule, rule_id, by=doer(by)))

    @router.post("/rules/{rule_id}/disable", response_model=RuleView)
    async def disable_rule(rule_id: RuleIdPath, by: ByQuery = None) -> dict[str, Any]:
        """Leave a rule out of decisions."""
        return written(await asyncio.to_thread(engine.disable_rule, rule_id, by=doer(by)))


def _sets(router: APIRouter, engine: PolicyEngine, stream: EventStream) -> None:
    one_at_a_time = asyncio.Semaphore(1)

    @router.post("/import", response_model=ImportedView)
    async def import_rules(body: ImportBody, by: ByQuery = None) -> dict[str, Any]:
        """Take over a set of rules, all of it or, when any is bad, nothing."""
        rules = rules_from([rule.model_dump() for rule in body.rules])
        done = await asyncio.to_thread(engine.import_rules, rules, replace_all=body.replace, by=doer(by))
        return done._asdict()

    @router.get("/findings", response_model=list[FindingView])
    async def findings() -> list[Any]:
        """What is odd about the present rules: some never win, contradict each other, or are there twice."""
        return [msgspec.to_builtins(one) for one in await asyncio.to_thread(analyse, engine.rules(), time.time())]

    @router.get("/schema")
    async def schema() -> dict[str, Any]:
        """The JSON Schema of policy files."""
        return policy_schema()

    @router.post("/replay", response_model=ReplayView, openapi_extra=_READS)
    async def replay_candidates(body: ReplayBody) -> dict[str, Any]:
        """What candidate rules would have changed in the recorded decisions; nothing is changed."""
        candidates = rules_from([rule.model_dump() for rule in body.rules])
        rules = candidates if body.alone else overlaid(engine.rules(), candidates)
        replaying = Replay(rules, engine.default_effect, examples=body.examples, mismatch=engine.mismatch)
        since = body.since if body.since is not None else time.time() - _WEEK
        async with one_at_a_time:
            report = await replay(stream, replaying, since=since, until=body.until)
        return report.to_dict()


def _versions(router: APIRouter, engine: PolicyEngine) -> None:
    @router.get("/versions", response_model=list[VersionView])
    async def versions(
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 50,
    ) -> Response:
        """The newest versions of the rule set, newest first."""
        return _json([version.to_dict() for version in await asyncio.to_thread(engine.versions, limit)])

    @router.get("/versions/{version}/rules", response_model=list[RuleView])
    async def rules_at(version: VersionPath) -> Response:
        """The rules as they were just after that version."""
        return _json([written(rule) for rule in await asyncio.to_thread(engine.rules_at, version)])

    @router.post("/versions/{version}/rollback", response_model=ImportedView)
    async def rollback(version: VersionPath, by: ByQuery = None) -> dict[str, Any]:
        """Make the rules again what they were just after that version."""
        return (await asyncio.to_thread(engine.rollback, version, by=doer(by)))._asdict()


def _containments(router: APIRouter, engine: PolicyEngine) -> None:
    @router.get("/containments", response_model=list[RuleView])
    async def containments() -> Response:
        """The agents that are contained, as the rules that do it."""
        return _json([written(rule) for rule in engine.containments()])

    @router.post("/containments", status_code=status.HTTP_201_CREATED, response_model=RuleView)
    async def contain(body: ContainmentBody) -> dict[str, Any]:
        """Deny an agent everything for a time. Of two containments the one that ends later counts."""
        rule = await asyncio.to_thread(
            engine.contain, body.agent_id, ttl=body.ttl, reason=body.reason, by=doer(body.by), key=request_key()
        )
        return written(rule)

    @router.delete("/containments/{agent_id:path}", status_code=status.HTTP_204_NO_CONTENT)
    async def lift(agent_id: AgentIdPath, by: ByQuery = None) -> None:
        """End an agent's containment."""
        await asyncio.to_thread(engine.lift, agent_id, by=doer(by))

    @router.get("/measures", response_model=list[VersionView])
    async def measures(
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 50,
    ) -> list[dict[str, Any]]:
        """The last changes of containments and the kill switch, newest first: who, when and why."""
        return [change.to_dict() for change in await asyncio.to_thread(engine.measures, limit)]


def _kill_switch(router: APIRouter, engine: PolicyEngine) -> None:
    def switch() -> dict[str, Any]:
        rule = engine.kill_switch_in_force()
        return {"on": rule is not None, "rule": written(rule) if rule is not None else None}

    @router.get("/kill-switch", response_model=KillSwitchView)
    async def kill_switch() -> dict[str, Any]:
        """Whether the kill switch is on."""
        return switch()

    @router.put("/kill-switch", response_model=KillSwitchView)
    async def kill_switch_on(body: KillSwitchBody) -> dict[str, Any]:
        """Deny everything to every agent but those listed."""
        await asyncio.to_thread(
            engine.kill_switch, reason=body.reason, allow=body.allow, ttl=body.ttl, by=doer(body.by)
        )
        return switch()

    @router.delete("/kill-switch", response_model=KillSwitchView)
    async def kill_switch_off(by: ByQuery = None) -> dict[str, Any]:
        """Let the rules decide again."""
        await asyncio.to_thread(engine.lift_kill_switch, by=doer(by))
        return switch()


def _approvals(router: APIRouter, engine: PolicyEngine) -> None:
    @router.get("/approvals", response_model=list[ApprovalView])
    async def approvals(
        status: Annotated[ApprovalStatus | None, Query(description="Only requests of this status.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
    ) -> list[Any]:
        """Requests for approval, newest first."""
        return [_shown(one) for one in await asyncio.to_thread(engine.approvals.list, status, limit)]

    @router.get("/approvals/{approval_id}", response_model=ApprovalView)
    async def approval(approval_id: ApprovalIdPath) -> Any:
        """One request for approval."""
        return _shown(await asyncio.to_thread(engine.approvals.get, approval_id))

    @router.post("/approvals/{approval_id}/grant", response_model=ApprovalView)
    async def grant(approval_id: ApprovalIdPath, body: AnswerBody) -> Any:
        """Agree to the action."""
        return _shown(await asyncio.to_thread(engine.approvals.grant, approval_id, by=body.by, reason=body.reason))

    @router.post("/approvals/{approval_id}/refuse", response_model=ApprovalView)
    async def refuse(approval_id: ApprovalIdPath, body: AnswerBody) -> Any:
        """Refuse the action."""
        return _shown(await asyncio.to_thread(engine.approvals.refuse, approval_id, by=body.by, reason=body.reason))


def _asked(body: ContextBody) -> dict[str, Any]:
    """The context of a question. Raises Forbidden when its sender may not ask for the agent."""
    context = body.context()
    return identified(context, check_agent(context))


def _shown(approval: Approval) -> Any:
    return msgspec.to_builtins(approval)


def _json(value: object) -> Response:
    """An answer of rules that were checked when they were made: they need not be checked again, each by each."""
    return Response(msgspec.json.encode(value), media_type="application/json")
