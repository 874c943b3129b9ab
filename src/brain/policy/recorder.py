"""The event of each decision, built and handed over in a few microseconds; nothing here raises into a decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import time
from typing import Any

import msgspec

from brain.charter import Event, current_meta, mint_id
from brain.logs import Log
from brain.policy.compiler import DECISION, ORDER, Entry
from brain.policy.plain import plain
from brain.stream import EventStream
from brain.stream.publisher import Publisher, failures, publish_safely

log = Log("brain.policy")

CONTEXT_FIELDS = ("agent_id", "agent_role", "action", "resource", "environment", "params")
_KNOWN = frozenset(CONTEXT_FIELDS)
_SIMPLE = frozenset({str, int, float, bool, type(None)})
_DENIAL = ("agent_id", "agent_role", "action", "resource", "rule_id", "rule_name", "reason")
_SHADOW_FACTS = ("rule_id", "rule_name", "effect", "allowed")


Record = Callable[[Mapping[str, Any], Entry, float, Entry | None], None]


def recorder(stream: Publisher) -> Record:
    """A function that publishes `policy.rule_evaluated`, and `policy.action_denied` when it was a denial.

    It takes the context, the entry that decided, the microseconds that took, and what the shadow rules say, which is
    recorded when it would have gone before the entry. It never raises.
    """
    # Our own stream never raises, and takes an event at once; a foreign one is handed it with care.
    publish = stream.publish if isinstance(stream, EventStream) else partial(publish_safely, stream)

    def record(context: Mapping[str, Any], entry: Entry, took_us: float, shadow: Entry | None) -> None:
        try:
            decision = entry[DECISION]
            facts = decision._facts or decision.facts  # a property costs a call, which most decisions need not make
            payload = _usual_payload(context, facts, took_us) if len(context) == 6 else None
            if payload is None:
                payload = {**facts, **_context_payload(context), "evaluation_time_us": took_us}
            if shadow is not None and shadow[ORDER] < entry[ORDER]:
                payload["shadow"] = {name: shadow[DECISION].facts[name] for name in _SHADOW_FACTS}
            publish(_event("policy.rule_evaluated", payload))
            if not decision.allowed:
                publish(_event("policy.action_denied", {name: payload[name] for name in _DENIAL}))
        except Exception as error:  # noqa: BLE001  (a decision stands whatever becomes of its event; counted, logged)
            failures["policy.rule_evaluated"] += 1
            log.error("decision not recorded", error=str(error), total=failures["policy.rule_evaluated"])

    return record


class _OwnEvent(Event, frozen=True, kw_only=True, eq=False):
    """An event whose parts are right by construction: the checks of any other cost as much as the decision."""

    def __post_init__(self) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and msgspec.structs.astuple(self) == msgspec.structs.astuple(other)

    def __hash__(self) -> int:
        return hash(self.id)


def _event(name: str, payload: dict[str, Any]) -> Event:
    now = time()
    return _OwnEvent(
        id=mint_id("policy", now),
        type=name,
        source="policy_service",
        target=None,
        timestamp=now,
        payload=payload,
        meta=current_meta(),
    )


def _usual_payload(context: Mapping[str, Any], facts: dict[str, Any], took_us: float) -> Any:
    """The payload for a context with just the six fields, of texts and objects of plain values; else None."""
    try:
        agent_id, agent_role = context["agent_id"], context["agent_role"]
        action, resource = context["action"], context["resource"]
        environment, params = context["environment"], context["params"]
    except KeyError:
        return None
    if not agent_id.__class__ is agent_role.__class__ is action.__class__ is resource.__class__ is str:
        return None
    if not environment.__class__ is params.__class__ is dict:
        return None
    for value in environment.values():
        if value.__class__ not in _SIMPLE:
            return None
    for value in params.values():
        if value.__class__ not in _SIMPLE:
            return None
    payload = facts.copy()  # it has all the keys already, which is several times as fast as adding them
    payload["agent_id"] = agent_id
    payload["agent_role"] = agent_role
    payload["action"] = action
    payload["resource"] = resource
    payload["environment"] = environment
    payload["params"] = params
    payload["evaluation_time_us"] = took_us
    return payload


def _context_payload(given: Mapping[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = plain(given)
    payload: dict[str, Any] = {name: context.get(name) for name in CONTEXT_FIELDS}
    absent = [name for name in CONTEXT_FIELDS if name not in context]
    if absent:
        payload["absent"] = absent
        payload |= {name: {} for name in ("environment", "params") if name in absent}
    extra = {name: value for name, value in context.items() if name not in _KNOWN}
    if extra:
        payload["extra"] = extra
    return payload


def recorded_context(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The context a `policy.rule_evaluated` payload was recorded in."""
    absent = payload.get("absent", ())
    context = {name: payload[name] for name in CONTEXT_FIELDS if name in payload and name not in absent}
    return {**context, **payload.get("extra", {})}
