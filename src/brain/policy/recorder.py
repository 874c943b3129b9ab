"""Publishes the event of each decision in a few microseconds. Nothing here raises into a decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter, itemgetter
from sys import modules
from time import time
from typing import Any, Protocol, TypeGuard

import msgspec

from brain.charter import Event, mint_id
from brain.charter.context import CURRENT
from brain.logs import Log
from brain.policy.compiler import DECISION, ORDER, RuleEntry
from brain.policy.decision_record import ASKER, any_question, denied, outcome, question
from brain.policy.decisions import Decision
from brain.policy.events import ACTION_DENIED, RULE_EVALUATED, RuleEvaluated
from brain.policy.structs import struct_of
from brain.redaction import is_clean, is_known_clean, is_seen_clean, memory, redacted_event
from brain.stream import EventStream
from brain.stream.publisher import EncodedEvent, Publisher, failures, publish_safely
from brain.stream.tracing import SDK

log: Log = Log("brain.policy")

TOGETHER = 1_000
"""So many events are journalled by one write, at most."""
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


Decided = tuple[Mapping[str, Any], RuleEntry, float, RuleEntry | None]
"""What is recorded of a decision: the context, the entry that decided, how long that took, and the shadow rules'."""
RecordDecisions = Callable[[Iterable[Decided]], None]


def recorder(stream: Publisher) -> RecordDecision:
    """A function that publishes `policy.rule_evaluated`, and `policy.action_denied` when it was a denial.

    It takes the context, the entry that decided, the microseconds that took, and what the shadow rules say, which is
    recorded when it would have gone before the entry. It never raises.
    """
    carefully = _careful(stream)
    return _quick(stream.publish_encoded, carefully) if _is_ours(stream) else carefully


def batch_recorder(stream: Publisher) -> RecordDecisions:
    """The same for decisions that were made together, whose events are journalled together."""
    carefully = _careful(stream)

    def one_by_one(decided: Iterable[Decided]) -> None:
        for one in decided:
            carefully(*one)

    if not _is_ours(stream):
        return one_by_one
    publish_many = stream.publish_many

    def together(decided: Iterable[Decided]) -> None:
        events: list[EncodedEvent] = []
        record = _quick(lambda *event: events.append(event), carefully)
        for one in decided:
            record(*one)
            if len(events) >= TOGETHER:
                publish_many(events)
                events.clear()
        if events:
            publish_many(events)

    return together


def _is_ours(stream: Publisher) -> TypeGuard[EventStream]:
    """Whether the stream is our own, and publishes as it does: else it may do more there."""
    return isinstance(stream, EventStream) and type(stream).publish is EventStream.publish


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
            asked = any_question({**context, **more} if more else context, took_us, _ahead(shadow, entry))
            publish_safely(stream, _event(_EVALUATED, asked, outcome(decision)))
            if not decision.allowed:
                publish_safely(stream, _event(_DENIED, denied(_asker_fields(asked), decision)))
        except Exception as error:  # noqa: BLE001  (a decision stands whatever becomes of its event; counted, logged)
            failures[_EVALUATED] += 1
            log.error("decision not recorded", error=str(error), total=failures[_EVALUATED])

    return record


def _event(name: str, *parts: Any) -> Event:
    payload = {key: value for part in parts for key, value in msgspec.to_builtins(part).items()}
    return Event(type=name, source=_SOURCE, payload=payload)


def _ahead(shadow: RuleEntry | None, entry: RuleEntry) -> Decision | None:
    """What the shadow rules decide, where they would have gone before the entry that decided."""
    return shadow[DECISION] if shadow is not None and shadow[ORDER] < entry[ORDER] else None


_Envelope: Any = struct_of(Event, "Envelope", payload=Any)
_Beginning: Any = struct_of(
    Event, "Beginning", only=[name for name in Event.__struct_fields__ if name != "meta"], payload=Any
)
"""An envelope but for its meta, which is put behind it with the outcome."""
_Varying: Any = struct_of(RuleEvaluated, "Varying", only=("environment", "params", "evaluation_time_us"))
"""What differs from decision to decision of one agent about one thing."""
_encode = msgspec.json.Encoder().encode
_asker_of, _asker_fields = itemgetter(*ASKER), attrgetter(*ASKER)
_any_asker: Any = dict.fromkeys(ASKER, Any)
_Asker: Any = struct_of(RuleEvaluated, "Asker", only=ASKER, **_any_asker)

_KEPT = 4_096
_ends: dict[int, tuple[Decision, bytes, bool]] = memory()
"""By the id of a decision: that decision, its outcome as it stands in the event, and whether no secret is in it."""
_Known = tuple[bytes | None, Decision | None, Mapping[str, Any] | None, bytes | None, bool]
_askers: dict[tuple[Any, ...], _Known] = memory()
"""By who asked and for what: these four fields as they stand in the event, of texts (or None) without a secret; then a
decision, a meta, what stands in their event from these fields to its end, and whether no secret is in that."""
_metas: dict[str, tuple[Mapping[str, Any], bytes, bool]] = memory()
"""The same of the last meta: of all decisions without a correlation, or of many asked for in one request."""


def _end(decision: Decision) -> tuple[Decision, bytes, bool]:
    clean = is_clean(decision.rule_id, decision.rule_name, decision.reason, *decision.warnings)
    end = decision, b"," + _encode(outcome(decision))[1:] + b',"meta":', clean
    if len(_ends) >= _KEPT:
        _ends.clear()
    _ends[id(decision)] = end
    return end


def _learn_asker(asker: tuple[Any, ...]) -> bytes | None:
    if not all(one is None or type(one) is str for one in asker) or not is_seen_clean(*asker):
        return None
    if len(_askers) >= _KEPT:
        _askers.clear()
    fields = b"," + _encode(_Asker(*asker))[1:-1]
    _askers[asker] = fields, None, None, None, False
    return fields


def _close(meta: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes, bool]:
    close = _metas["last"] = meta, _encode(meta) + b"}", is_clean(meta)
    return close


def _tail(decision: Decision, meta: Mapping[str, Any]) -> tuple[bytes, bool]:
    """The end of the event of a decision from its outcome on, and whether no secret is in it."""
    whose, ending, clean = _ends.get(id(decision), _NO_END)
    if whose is not decision:
        _, ending, clean = _end(decision)
    of, close, is_meta_clean = _metas.get("last", _NO_CLOSE)
    if of is not meta:
        _, close, is_meta_clean = _close(meta)
    return ending + close, clean and is_meta_clean


def _rest(
    asker: tuple[Any, ...], fields: bytes | None, decision: Decision, meta: Mapping[str, Any]
) -> tuple[bytes | None, bool]:
    """As `_tail`, from the asker's `fields` on, which are None where they are not known; None where they are not just
    texts. Remembered where the meta comes again."""
    comes_again = _metas.get("last", _NO_CLOSE)[0] is meta
    tail, clean = _tail(decision, meta)
    if fields is None and (fields := _learn_asker(asker)) is None:
        return None, False
    rest = fields + tail
    if comes_again:
        _askers[asker] = fields, decision, meta, rest, clean
    return rest, clean


_NO_END, _NO_CLOSE = (None, b"", False), (None, b"", False)
_NOBODY: _Known = (None, None, None, None, False)


def _quick(publish: Callable[[str, str, bytes, bool], object], carefully: RecordDecision) -> RecordDecision:
    """The recorder for our own stream, which takes the bytes of an event: no event is made only to be encoded.

    What a rule says, who asks for what, and the meta, are encoded and looked through once, and put behind the rest.
    A context that has not just the six fields, or values that are no JSON, is left to `carefully`.
    """
    encode, meta_now, known_asker = _encode, CURRENT.get, _askers.get

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
            asker, environment, params = _asker_of(context), context["environment"], context["params"]
            now, meta, decision = time(), meta_now(), entry[DECISION]
            fields, whose, of, rest, clean = known_asker(asker, _NOBODY)
            if whose is not decision or of is not meta:
                rest, clean = _rest(asker, fields, decision, meta)
            event_id = mint_id("policy", now)
            if (
                rest is not None
                and shadow is None
                and more is None
                and type(params) is type(environment) is dict
                and (not params or is_known_clean(params))
                and (not environment or is_known_clean(environment))
            ):
                varying = _Varying(environment, params, took_us)
                data = encode(_Beginning(event_id, _EVALUATED, _SOURCE, None, now, varying))[:-2] + rest
            else:
                asked, is_clean_too = _asked(context, took_us, shadow and _ahead(shadow, entry), more)
                tail, clean = _tail(decision, meta)
                data = encode(_Beginning(event_id, _EVALUATED, _SOURCE, None, now, asked))[:-2] + tail
                clean = clean and is_clean_too
        except Exception:  # noqa: BLE001  (a missing field, or whatever the values of the caller's own types raise)
            return carefully(context, entry, took_us, shadow, more)
        shown = data if clean else redacted_event(data)
        publish(event_id, _EVALUATED, shown, True)
        if not decision.allowed:
            denial_id = mint_id("policy", now)
            data_of_denial = _encode(_Envelope(denial_id, _DENIED, _SOURCE, None, now, denied(asker, decision), meta))
            publish(denial_id, _DENIED, data_of_denial, shown is data)  # it says a part of the same

    return record


def _asked(
    context: Mapping[str, Any], took_us: float, ahead: Decision | None, more: Mapping[str, Any] | None
) -> tuple[Any, bool]:
    """The question of a context of the six fields, and whether it holds no secret. Raises TypeError."""
    asked, clean = question(context, took_us, ahead)
    if asked is None:
        raise TypeError("a value of the context is no JSON as it stands")
    if more is not None:
        asked.extra, clean = more, clean and is_clean(more)
    return asked, clean
