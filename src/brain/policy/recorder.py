"""The event of each decision, built and handed over in a few microseconds; nothing here raises into a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from brain.policy.compiler import Entry
from brain.policy.events import ACTION_DENIED, RULE_EVALUATED
from brain.stream.publisher import Publisher, failures, publish_safely

log = structlog.get_logger("brain.policy")

CONTEXT_FIELDS = ("agent_id", "agent_role", "action", "resource", "environment", "params")
_KNOWN = frozenset(CONTEXT_FIELDS)


def record(stream: Publisher, context: Mapping[str, Any], entry: Entry, took_us: float) -> None:
    """Publish `policy.rule_evaluated`, and `policy.action_denied` when it was a denial."""
    try:
        payload: Any = {**_context_payload(context), **entry.facts, "evaluation_time_us": took_us}
        publish_safely(stream, RULE_EVALUATED.unchecked(payload))
        if not entry.decision.allowed:
            publish_safely(
                stream,
                ACTION_DENIED.unchecked(
                    {
                        "agent_id": payload["agent_id"],
                        "agent_role": payload["agent_role"],
                        "action": payload["action"],
                        "resource": payload["resource"],
                        "rule_id": entry.decision.rule_id,
                        "rule_name": entry.decision.rule_name,
                        "reason": entry.decision.reason,
                    }
                ),
            )
    except Exception as error:  # noqa: BLE001  (a decision stands whatever becomes of its event; counted and logged)
        failures[RULE_EVALUATED.name] += 1
        log.error("decision not recorded", error=str(error), total=failures[RULE_EVALUATED.name])


def _context_payload(context: Mapping[str, Any]) -> dict[str, Any]:
    if len(context) == 6:
        try:
            return {
                "agent_id": context["agent_id"],
                "agent_role": context["agent_role"],
                "action": context["action"],
                "resource": context["resource"],
                "environment": context["environment"],
                "params": context["params"],
            }
        except KeyError:
            pass
    payload: dict[str, Any] = {name: context.get(name) for name in CONTEXT_FIELDS}
    absent = [name for name in CONTEXT_FIELDS if name not in context]
    if absent:
        payload["absent"] = absent
        payload |= {name: {} for name in ("environment", "params") if name in absent}
    extra = {str(name): context[name] for name in context if name not in _KNOWN}
    if extra:
        payload["extra"] = extra
    return payload


def recorded_context(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The context a `policy.rule_evaluated` payload was recorded in."""
    absent = payload.get("absent", ())
    context = {name: payload[name] for name in CONTEXT_FIELDS if name in payload and name not in absent}
    return {**context, **payload.get("extra", {})}
