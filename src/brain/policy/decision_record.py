"""The record of a decision (the payload of `policy.rule_evaluated`): its writer, in two parts, and its reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from operator import attrgetter, itemgetter
from typing import Any, Final, cast

import msgspec

from brain.charter import Event
from brain.policy.decisions import Decision, refusal
from brain.policy.events import CONTEXT_FIELDS, DeniedAction, RuleEvaluated, ShadowOutcome
from brain.policy.json_safe import from_json_safe, is_json_safe, to_json_safe, to_json_safe_marked
from brain.policy.structs import struct_of
from brain.redaction import are_known_clean, is_clean, is_known_clean
from brain.typed import ready

_any_context: Any = dict.fromkeys(CONTEXT_FIELDS, Any)
ASKER: Final = CONTEXT_FIELDS[:4]
"""Who asks, for what: the fields of a context that are texts."""
_OUTCOME = ("rule_id", "rule_name", "effect", "allowed", "reason", "warnings")
Question: Any = struct_of(
    RuleEvaluated,
    "Question",
    only=[name for name in RuleEvaluated.__annotations__ if name not in _OUTCOME],
    **_any_context,
)
"""What differs from decision to decision, as it is written: structs take half the time that dictionaries take."""
Outcome: Any = struct_of(RuleEvaluated, "Outcome", only=_OUTCOME)
"""The rest of the record: the same in every case that the same rule decides."""
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
decode: Callable[[bytes], Any] = msgspec.json.Decoder(ready(RecordedDecision)).decode

_outcome_fields = attrgetter(*_OUTCOME)
_fields_of = itemgetter(*CONTEXT_FIELDS)
_shadow_fields = attrgetter(*_Shadow.__struct_fields__)
_EMPTY: Mapping[str, Any] = {name: {} if name in ("environment", "params") else None for name in CONTEXT_FIELDS}
_known = frozenset(CONTEXT_FIELDS)


def question(context: Mapping[str, Any], took_us: float, shadow: Decision | None) -> tuple[Any, bool]:
    """The first part of the record, of a context of the six usual fields, and whether it is sure to hold no secret.

    None when a value is no JSON as it stands. `shadow` is the decision of the shadow rules where it would have come
    first. Raises KeyError for a missing field, and TypeError for an object in the place of a text, which `any_question`
    takes.
    """
    agent_id, agent_role = context["agent_id"], context["agent_role"]
    action, resource = context["action"], context["resource"]
    environment, params = context["environment"], context["params"]
    # Nearly always all texts have been seen before; texts that were are JSON.
    if (
        type(params) is dict
        and type(environment) is dict
        and are_known_clean((agent_id, agent_role, action, resource))
        and (not params or is_known_clean(params))
        and (not environment or is_known_clean(environment))
    ):
        clean = shadow is None
    elif all(map(is_json_safe, context.values())):
        clean = shadow is None and is_clean(*context.values())
    else:
        return None, False
    return _question(context, took_us, shadow), clean


def _question(context: Mapping[str, Any], took_us: float, shadow: Decision | None) -> Any:
    asked = Question(*_fields_of(context), took_us)
    if shadow is not None:
        asked.shadow = _Shadow(*_shadow_fields(shadow))
    return asked


def outcome(decision: Decision) -> Any:
    """The second part of the record."""
    return Outcome(*_outcome_fields(decision))


def any_question(given: Mapping[str, Any], took_us: float, shadow: Decision | None) -> Any:
    """As `question`, of any context: what rules saw of it as JSON, and what was absent, extra or no JSON."""
    context, substitutes = to_json_safe_marked(given)
    usual = {name: context.get(name, empty) for name, empty in _EMPTY.items()}
    asked = _question(usual, took_us, shadow)
    if absent := [name for name in CONTEXT_FIELDS if name not in context]:
        asked.absent = absent
    if extra := {name: value for name, value in context.items() if name not in _known}:
        asked.extra = extra
    if substitutes:
        asked.not_json = substitutes
    return asked


def denied(asker: Iterable[Any], decision: Decision) -> Any:
    """The payload of `policy.action_denied` that belongs to the record of a denial of `asker`: ASKER of its context."""
    return Denied(*asker, decision.rule_id, decision.rule_name, decision.reason)


def refused(context: Mapping[str, Any], reason: str) -> DeniedAction:
    """The payload of `policy.action_denied` for a denial that no rule decided."""
    asker = [to_json_safe(context.get(name)) for name in ASKER]
    return cast(DeniedAction, msgspec.to_builtins(denied(asker, refusal(reason))))


def recorded_context(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The context that the payload of a `policy.rule_evaluated` was made of, as rules saw it."""
    return context_of(msgspec.convert(payload, ready(_Read)))


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
