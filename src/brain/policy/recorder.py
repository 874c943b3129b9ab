"""Publishes the event of each decision in a few microseconds. Nothing here raises into a decision."""

from __future__ import annotations

from collections.abc import Mapping
from sys import modules
from time import time
from typing import Any, Protocol

import msgspec

from brain.charter import Event, current_meta, mint_id
from brain.logs import Log
from brain.policy.compiler import DECISION, ORDER, RuleEntry
from brain.policy.decision_record import denied, evaluated, evaluated_any
from brain.policy.decisions import Decision
from brain.policy.events import ACTION_DENIED, RULE_EVALUATED
from brain.policy.structs import struct_of
from brain.redaction import is_clean, redacted_event
from brain.stream import EventStream
from brain.stream.publisher import Publisher, failures, publish_safely
from brain.stream.tracing import SDK

log: Log = Log("brain.policy")

_EVALUATED, _DENIED, _SOURCE = RULE_EVALUATED.name, ACTION_DENIED.name, RULE_EVALUATED.source


class RecordDecision(Protocol):
    """What a recorder is."""

    def __call__(
        self,
        context: Mapping[str, Any],
        entry: RuleEntry,
        took_us: float,
        shadow: RuleEntry | None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Publish the decision; `more` are fields that the context had besides, as plain JSON."""


def recorder(stream: Publisher) -> RecordDecision:
    """A function that publishes `policy.rule_evaluated`, and `policy.action_denied` when it was a denial.

    It takes the context, the entry that decided, the microseconds that took, and what the shadow rules say, which is
    recorded when it would have gone before the entry. It never raises.
    """
    carefully = _careful(stream)
    if isinstance(stream, EventStream) and type(stream).publish is EventStream.publish:  # else it may do more there
        return _quick(stream, carefully)
    return carefully


def _careful(stream: Publisher) -> RecordDecision:
    """The recorder for any stream, and for any context."""

    def record(
        context: Mapping[str, Any],
        entry: RuleEntry,
        took_us: float,
        shadow: RuleEntry | None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            decision = entry[DECISION]
            made = evaluated_any({**context, **more} if more else context, decision, took_us, _ahead(shadow, entry))
            publish_safely(stream, _event(_EVALUATED, made))
            if not decision.allowed:
                publish_safely(stream, _event(_DENIED, denied(made)))
        except Exception as error:  # noqa: BLE001  (a decision stands whatever becomes of its event; counted, logged)
            failures[_EVALUATED] += 1
            log.error("decision not recorded", error=str(error), total=failures[_EVALUATED])

    return record


def _event(name: str, payload: Any) -> Event:
    return Event(type=name, source=_SOURCE, payload=msgspec.to_builtins(payload))


def _ahead(shadow: RuleEntry | None, entry: RuleEntry) -> Decision | None:
    """What the shadow rules decide, where they would have gone before the entry that decided."""
    return shadow[DECISION] if shadow is not None and shadow[ORDER] < entry[ORDER] else None


_Envelope: Any = struct_of(Event, "Envelope", payload=Any)
_encode = msgspec.json.Encoder().encode


def _quick(stream: EventStream, carefully: RecordDecision) -> RecordDecision:
    """The recorder for our own stream, which takes the bytes of an event: no event is made only to be encoded.

    A context that has not just the six fields, or values that are no JSON, is left to `carefully`.
    """
    publish = stream.publish_encoded

    def record(
        context: Mapping[str, Any],
        entry: RuleEntry,
        took_us: float,
        shadow: RuleEntry | None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        if len(context) != 6 or SDK in modules:  # who traces wants whole events
            return carefully(context, entry, took_us, shadow, more)
        try:
            made = evaluated(context, entry[DECISION], took_us, shadow and _ahead(shadow, entry))
            if made is None:
                return carefully(context, entry, took_us, shadow, more)
            if more is not None:
                made.extra = more
            now, meta = time(), current_meta()
            event_id = mint_id("policy", now)
            data = _encode(_Envelope(event_id, _EVALUATED, _SOURCE, None, now, made, meta))
        except Exception:  # noqa: BLE001  (a missing field, or whatever the values of the caller's own types raise)
            return carefully(context, entry, took_us, shadow, more)
        decision = entry[DECISION]
        seen = *context.values(), decision.rule_id, decision.rule_name, decision.reason, *decision.warnings, more, meta
        shown = data if made.shadow is msgspec.UNSET and is_clean(*seen) else redacted_event(data)
        publish(event_id, _EVALUATED, shown, True)
        if not made.allowed:
            denial_id = mint_id("policy", now)
            data_of_denial = _encode(_Envelope(denial_id, _DENIED, _SOURCE, None, now, denied(made), meta))
            publish(denial_id, _DENIED, data_of_denial, shown is data)  # it says a part of the same

    return record
