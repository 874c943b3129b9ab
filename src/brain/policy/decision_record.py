"""The record of a decision (the payload of `policy.rule_evaluated`): its one writer and its one reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from operator import attrgetter
from typing import Any, cast

import msgspec

from brain.charter import Event
from brain.policy.decisions import Decision, refusal
from brain.policy.events import CONTEXT_FIELDS, DeniedAction, RuleEvaluated, ShadowOutcome
from brain.policy.json_safe import from_json_safe, is_json_safe, to_json_safe, to_json_safe_marked
from brain.policy.normalisation import PLAIN
from brain.policy.structs import struct_of

_any_context: Any = dict.fromkeys(CONTEXT_FIELDS, Any)
Evaluated: Any = struct_of(RuleEvaluated, "Evaluated", **_any_context)
"""The record as it is written: structs are made and written in half the time that dictionaries take."""
Denied: Any = struct_of(DeniedAction, "Denied")
_Shadow: Any = struct_of(ShadowOutcome, "Shadow")
_Read: Any = struct_of(
    RuleEvaluated,
    "Read",
    only=(*CONTEXT_FIELDS, "effect", "allowed", "rule_id", "reason", "extra", "absent", "not_json"),
    lenient=True,
    required=("effect", "allowed"),
    **_any_context,
)

RecordedDecision: Any = struct_of(Event, "RecordedDecision", only=("id", "type", "timestamp", "payload"), payload=_Read)
"""An event of a decision as it is read; keys that other producers may have left out are None."""
decode: Callable[[bytes], Any] = msgspec.json.Decoder(RecordedDecision).decode

_denied_fields = attrgetter(*Denied.__struct_fields__)
_shadow_fields = attrgetter(*_Shadow.__struct_fields__)
_EMPTY: Mapping[str, Any] = {name: {} if name in ("environment", "params") else None for name in CONTEXT_FIELDS}
_known = frozenset(CONTEXT_FIELDS)
_only_plain = PLAIN.issuperset


def evaluated(context: Mapping[str, Any], decision: Decision, took_us: float, shadow: Decision | None) -> Any:
    """The record of a decision on a context of the six usual fields; None when a value is no JSON as it stands.

    `shadow` is the decision of the shadow rules where it would have come first. Raises KeyError for a missing field.
    """
    agent_id, agent_role = context["agent_id"], context["agent_role"]
    action, resource = context["action"], context["resource"]
    environment, params = context["environment"], context["params"]
    # Nearly always the types of the values alone tell that they are JSON.
    usual = type(agent_id) is str and type(agent_role) is str and type(action) is str and type(resource) is str
    usual = usual and type(params) is dict and _only_plain(map(type, params.values()))
    usual = usual and type(environment) is dict and (not environment or is_json_safe(environment))
    if not usual and not all(map(is_json_safe, context.values())):
        return None
    record = Evaluated(
        agent_id,
        agent_role,
        action,
        resource,
        environment,
        params,
        decision.rule_id,
        decision.rule_name,
        decision.effect,
        decision.allowed,
        decision.reason,
        decision.warnings,
        took_us,
    )
    if shadow is not None:
        record.shadow = _Shadow(*_shadow_fields(shadow))
    return record


def evaluated_any(given: Mapping[str, Any], decision: Decision, took_us: float, shadow: Decision | None) -> Any:
    """The record of a decision on any context: what rules saw of it as JSON, and what was absent, extra or no JSON."""
    context, substitutes = to_json_safe_marked(given)
    usual = {name: context.get(name, empty) for name, empty in _EMPTY.items()}
    record = evaluated(usual, decision, took_us, shadow)
    if absent := [name for name in CONTEXT_FIELDS if name not in context]:
        record.absent = absent
    if extra := {name: value for name, value in context.items() if name not in _known}:
        record.extra = extra
    if substitutes:
        record.not_json = substitutes
    return record


def denied(record: Any) -> Any:
    """The payload of `policy.action_denied` that belongs to the record of a denial."""
    return Denied(*_denied_fields(record))


def refused(context: Mapping[str, Any], reason: str) -> DeniedAction:
    """The payload of `policy.action_denied` for a denial that no rule decided."""
    known = {name: to_json_safe(context.get(name)) for name in CONTEXT_FIELDS}
    return cast(DeniedAction, msgspec.to_builtins(denied(evaluated(known, refusal(reason), 0.0, None))))


def recorded_context(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The context that the payload of a `policy.rule_evaluated` was made of, as rules saw it."""
    return context_of(msgspec.convert(payload, _Read))


def context_of(record: Any) -> dict[str, Any]:
    """The same of the payload of a RecordedDecision."""
    context: dict[str, Any] = {
        "agent_id": record.agent_id,
        "agent_role": record.agent_role,
        "action": record.action,
        "resource": record.resource,
        "environment": record.environment,
        "params": record.params,
    }
    if record.absent is None and record.extra is None and record.not_json is None:
        return context
    for name in record.absent or ():
        context.pop(name, None)
    context |= record.extra or {}
    if record.not_json:
        context = from_json_safe(deepcopy(context), record.not_json)
    return context
