"""The event of each decision, built and handed over in a few microseconds; nothing here raises into a decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from sys import modules
from time import time
from typing import Any, cast

import msgspec

from brain.charter import Event, current_meta, mint_id
from brain.logs import Log
from brain.policy.compiler import DECISION, ORDER, RuleEntry
from brain.policy.events import DeniedAction
from brain.policy.json_safe import Substitute, from_json_safe, is_json_safe, to_json_safe, to_json_safe_marked
from brain.policy.normalisation import PLAIN
from brain.stream import EventStream
from brain.stream.publisher import Publisher, failures, publish_safely
from brain.stream.tracing import SDK

log = Log("brain.policy")

CONTEXT_FIELDS = ("agent_id", "agent_role", "action", "resource", "environment", "params")
_KNOWN = frozenset(CONTEXT_FIELDS)
_EVALUATED = "policy.rule_evaluated"
_DENIED = "policy.action_denied"
_SOURCE = "policy_service"
_DENIAL = ("agent_id", "agent_role", "action", "resource", "rule_id", "rule_name", "reason")
_SHADOW_FACTS = ("rule_id", "rule_name", "effect", "allowed")


RecordDecision = Callable[[Mapping[str, Any], RuleEntry, float, RuleEntry | None], None]


def recorder(stream: Publisher) -> RecordDecision:
    """A function that publishes `policy.rule_evaluated`, and `policy.action_denied` when it was a denial.

    It takes the context, the entry that decided, the microseconds that took, and what the shadow rules say, which is
    recorded when it would have gone before the entry. It never raises.
    """
    carefully = _careful(stream)
    return _quick(stream, carefully) if type(stream) is EventStream else carefully


def _careful(stream: Publisher) -> RecordDecision:
    """The recorder for any stream, and for any context."""

    def record(context: Mapping[str, Any], entry: RuleEntry, took_us: float, shadow: RuleEntry | None) -> None:
        try:
            decision = entry[DECISION]
            payload = {**decision.facts(), **_context_payload(context), "evaluation_time_us": took_us}
            if shadow is not None and shadow[ORDER] < entry[ORDER]:
                payload["shadow"] = _shadow_outcome(shadow)
            publish_safely(stream, _event(_EVALUATED, payload))
            if not decision.allowed:
                publish_safely(stream, _event(_DENIED, {name: payload[name] for name in _DENIAL}))
        except Exception as error:  # noqa: BLE001  (a decision stands whatever becomes of its event; counted, logged)
            failures[_EVALUATED] += 1
            log.error("decision not recorded", error=str(error), total=failures[_EVALUATED])

    return record


def _event(name: str, payload: dict[str, Any]) -> Event:
    return Event(type=name, source=_SOURCE, payload=payload)


class _Evaluated(msgspec.Struct, gc=False):
    """The payload of `policy.rule_evaluated`; structs are made and written in half the time that dictionaries take."""

    agent_id: Any
    agent_role: Any
    action: Any
    resource: Any
    environment: Any
    params: Any
    rule_id: str | None
    rule_name: str | None
    effect: str
    allowed: bool
    reason: str
    warnings: Sequence[str]
    evaluation_time_us: float
    shadow: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class _Denied(msgspec.Struct, gc=False):
    """The payload of `policy.action_denied`."""

    agent_id: Any
    agent_role: Any
    action: Any
    resource: Any
    rule_id: str | None
    rule_name: str | None
    reason: str


class _Envelope(msgspec.Struct, gc=False):
    id: str
    type: str
    source: str
    target: None
    timestamp: float
    payload: _Evaluated | _Denied
    meta: Mapping[str, Any]


_PLAIN = PLAIN.issuperset
_encode = msgspec.json.Encoder().encode


def _quick(stream: EventStream, carefully: RecordDecision) -> RecordDecision:
    """The recorder for our own stream, which takes the bytes of an event: no event is made only to be encoded.

    A context that has not just the six fields, or values that are no JSON, is left to `carefully`.
    """
    publish = stream.publish_encoded

    def record(context: Mapping[str, Any], entry: RuleEntry, took_us: float, shadow: RuleEntry | None) -> None:
        if len(context) != 6 or SDK in modules:  # who traces wants whole events
            return carefully(context, entry, took_us, shadow)
        decision = entry[DECISION]
        allowed, rule_id, rule_name, reason = decision.allowed, decision.rule_id, decision.rule_name, decision.reason
        try:
            agent_id, agent_role = context["agent_id"], context["agent_role"]
            action, resource = context["action"], context["resource"]
            environment, params = context["environment"], context["params"]
            usual = type(agent_id) is str and type(agent_role) is str and type(action) is str and type(resource) is str
            usual = usual and type(params) is dict and _PLAIN(map(type, params.values()))
            usual = usual and type(environment) is dict and (not environment or is_json_safe(environment))
            if not usual and not all(map(is_json_safe, context.values())):
                return carefully(context, entry, took_us, shadow)
            evaluated = _Evaluated(
                agent_id,
                agent_role,
                action,
                resource,
                environment,
                params,
                rule_id,
                rule_name,
                decision.effect,
                allowed,
                reason,
                decision.warnings,
                took_us,
            )
            if shadow is not None and shadow[ORDER] < entry[ORDER]:
                evaluated.shadow = _shadow_outcome(shadow)
            now, meta = time(), current_meta()
            event_id = mint_id("policy", now)
            data = _encode(_Envelope(event_id, _EVALUATED, _SOURCE, None, now, evaluated, meta))
        except Exception:  # noqa: BLE001  (a missing field, or whatever the values of the caller's own types raise)
            return carefully(context, entry, took_us, shadow)
        publish(event_id, _EVALUATED, data)
        if not allowed:
            denied = _Denied(agent_id, agent_role, action, resource, rule_id, rule_name, reason)
            denial_id = mint_id("policy", now)
            publish(denial_id, _DENIED, _encode(_Envelope(denial_id, _DENIED, _SOURCE, None, now, denied, meta)))

    return record


def _shadow_outcome(shadow: RuleEntry) -> dict[str, Any]:
    facts = shadow[DECISION].facts()
    return {name: facts[name] for name in _SHADOW_FACTS}


def denial_payload(context: Mapping[str, Any], reason: str) -> DeniedAction:
    """The payload of `policy.action_denied` for a denial that no rule decided."""
    known = to_json_safe({name: context.get(name) for name in ("agent_id", "agent_role", "action", "resource")})
    return cast(DeniedAction, {**known, "rule_id": None, "rule_name": None, "reason": reason})


def _context_payload(given: Mapping[str, Any]) -> dict[str, Any]:
    context, marks = to_json_safe_marked(given)
    payload: dict[str, Any] = {name: context.get(name) for name in CONTEXT_FIELDS}
    absent = [name for name in CONTEXT_FIELDS if name not in context]
    if absent:
        payload["absent"] = absent
        payload |= {name: {} for name in ("environment", "params") if name in absent}
    extra = {name: value for name, value in context.items() if name not in _KNOWN}
    if extra:
        payload["extra"] = extra
    if marks:
        payload["not_json"] = [{"path": mark.path, "kind": mark.kind} for mark in marks]
    return payload


def recorded_context(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The context a `policy.rule_evaluated` payload was recorded in, as rules saw it."""
    absent = payload.get("absent", ())
    context = {name: payload[name] for name in CONTEXT_FIELDS if name in payload and name not in absent}
    context |= payload.get("extra", {})
    marks = payload.get("not_json")
    return from_json_safe(deepcopy(context), msgspec.convert(marks, list[Substitute])) if marks else context
