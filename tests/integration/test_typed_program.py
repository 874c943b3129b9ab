"""A user's program over the public names. It runs, and test_types.py has strict type checkers read it.

`assert_type` says what a type checker must find; at run time it does nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Any, Literal, TypedDict, assert_type

import pytest
from msgspec import Meta

import brain
from brain import (
    BrainError,
    Condition,
    Conflict,
    DeliveryOptions,
    EnvelopeError,
    Event,
    EventStream,
    EventType,
    Frequency,
    HealthEvent,
    ImmuneService,
    Inbox,
    InvalidInput,
    NotFound,
    Pattern,
    PolicyEngine,
    Priority,
    Rule,
    ThreatService,
    catalogue,
    correlation,
    in_the_wake_of,
)
from brain.immune import HealthKind, HealthSeverity, HealthStatus, HealthSummary, Reason
from brain.policy import (
    ANONYMOUS,
    ActingExecutor,
    ActionDenied,
    Decision,
    Effect,
    Explanation,
    Guard,
    Mode,
    Operator,
    acting_as,
    carry,
)
from brain.store import Store, open_store
from brain.stream import DeadLetter, GroupInfo, Receipt, Stored
from brain.stream.publisher import Publisher
from brain.testing import RecordingStream, make_event, one_of_each
from brain.threats import MOVES, Severity, Status, Threat, ThreatStats


class Refusal(TypedDict):
    """A payment that was refused."""

    amount: Annotated[int, Meta(description="In cents.")]


REFUSED = EventType(
    name="payment.refused",
    module="payments",
    payload=Refusal,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A payment was refused.",
    example={"amount": 12},
)


class Silent:
    """A stream of the user's own: anything with a `publish` will do."""

    def publish(self, event: Event, /) -> None:
        """Drop it."""


def refunds() -> Rule:
    """A rule from texts, and one from members."""
    by_members = Condition(field="action", operator=Operator.EQ, value="payments.refund")
    return Rule(
        id="refunds",
        name="Support may refund",
        effect="ALLOW",
        conditions=[by_members, {"field": "agent_role", "operator": "==", "value": "support"}],
        tags=("money",),
        mode="enforce",
    )


def test_rules_and_decisions() -> None:
    rule = refunds()
    assert_type(rule.effect, Effect)
    assert_type(rule.mode, Mode)
    assert_type(rule.conditions, Sequence[Condition])
    assert_type(rule.conditions[0].operator, Operator)
    assert_type(rule.metadata, Mapping[str, Any])
    engine = PolicyEngine(event_stream=None, default_effect="DENY")
    assert_type(engine.add_rule(rule), Rule)
    decision = engine.evaluate({"agent_id": "a1", "agent_role": "support", "action": "payments.refund"})
    assert_type(decision, Decision)
    assert_type(decision.allowed, bool)
    assert_type(decision.effect, Effect)
    assert_type(decision.rule_id, str | None)
    assert_type(decision.reason, str)
    assert_type(decision.warnings, Sequence[str])
    assert_type(engine.explain({"action": "x"}), Explanation)
    assert_type(engine.rules(), list[Rule])
    assert_type(engine.evaluate_many([{"action": "x"}]), list[Decision])
    assert_type(engine.update_rule("refunds", priority=7).priority, int)
    assert decision.allowed
    assert {decision: rule}[decision].effect is Effect.ALLOW


def test_guards_keep_signatures() -> None:
    engine = PolicyEngine(RecordingStream(), default_effect="ALLOW")
    guard = Guard(engine, agent={"agent_id": "a1", "agent_role": "support"})

    @guard("payments.refund", resource="order/{order_id}")
    def refund(order_id: int, *, amount: int = 0) -> str:
        return f"{order_id}: {amount}"

    @guard("payments.list")
    def payments(limit: int) -> Generator[int, None, None]:
        yield from range(limit)

    class Till:
        @guard("till.open", params=["code"])
        def open(self, code: str) -> bool:
            return code == "1234"

    keeps: Callable[[int], str] = refund
    assert_type(refund(7, amount=20), str)
    assert_type(payments(3), Generator[int, None, None])
    assert_type(Till().open("1234"), bool)
    assert_type(guard.tool(len, name="length")([1, 2]), int)
    assert_type(guard.tools({"refund": refund})["refund"](7), str)
    assert_type(guard.check("payments.refund", agent=ANONYMOUS), Decision)
    with acting_as("a2", agent_role="clerk"), ThreadPoolExecutor(1) as pool:
        assert_type(carry(refund)(7, amount=1), str)
        sent = ActingExecutor(pool).submit(refund, 7, amount=2)
        assert_type(sent, Future[str])
        assert (keeps(7), sent.result()) == ("7: 0", "7: 2")
    engine.add_rule(Rule(id="none", name="none", effect="DENY"))
    with pytest.raises(ActionDenied) as denied:
        refund(7)
    assert_type(denied.value.decision, Decision)
    assert_type(denied.value.ids(), dict[str, str | None])


async def test_async_guards_keep_signatures() -> None:
    guard = Guard(PolicyEngine(RecordingStream(), default_effect="ALLOW"), agent="a1")

    @guard("read")
    async def read(path: str) -> bytes:
        return path.encode()

    @guard("watch")
    async def watch(path: str) -> AsyncGenerator[bytes, None]:
        yield path.encode()

    assert_type(await read("a"), bytes)
    assert_type(watch("a"), AsyncGenerator[bytes, None])
    assert_type(await guard.check_async("read"), Decision)
    assert [chunk async for chunk in watch("a")] == [await read("a")]


async def test_a_stream() -> None:
    async with EventStream.open("memory://") as stream:
        assert_type(stream, EventStream)
        receipt = stream.publish(REFUSED.event({"amount": 12}, target="order-7"))
        assert_type(receipt, Receipt)
        assert_type(receipt.event_id, str)
        assert_type(receipt.refused, BrainError | None)
        assert_type(await receipt, str)
        assert_type(await asyncio.wait_for(receipt, 5), str)
        assert_type(await asyncio.gather(receipt, receipt), tuple[str, str])
        async for event in stream.subscribe("payment.*", group="ledger"):
            assert_type(event, Event)
            assert_type(event.payload, dict[str, Any])
            assert_type(event.correlation_id, str | None)
            assert_type(REFUSED.check(event.payload), Refusal)
            with in_the_wake_of(event), correlation("story-1"):
                assert_type(stream.publish(REFUSED.event({"amount": 13})).event_id, str)
            break
        async for stored in stream.live(after=""):
            assert_type(stored, Stored)
            assert_type(stored.event, Event)
            assert_type(stored.position, str)
            break
        replayed = [event async for event in stream.replay(["payment.*"])]
        assert_type(replayed, list[Event])
        assert_type(await stream.groups(), list[GroupInfo])
        assert_type(await stream.dead_letters(), list[DeadLetter])
        assert_type(stream.stats(), dict[str, int])
        seen: set[Event] = {*replayed, replayed[0]}
        assert len(seen) == 2


async def test_handlers_plain_and_async() -> None:
    got: list[Event] = []

    async def wait(event: Event) -> None:
        got.append(event)

    def count(event: Event) -> int:
        got.append(event)
        return len(got)

    async with EventStream.open("memory://") as stream:
        stream.consumer("one", "*", wait)
        stream.consumer("two", ("payment.*", "threat.*"), count, DeliveryOptions(max_attempts=2))
        stream.consumer("three", "*", got.append)
        assert len(stream.consumers) == 3


async def test_threats() -> None:
    publisher: Publisher = RecordingStream()
    service = ThreatService(event_stream=publisher)
    threat = await service.create_threat("brute_force", "10.0.0.7", "HIGH", metadata={"port": 22})
    assert_type(threat, Threat)
    assert_type(threat.severity, Severity)
    assert_type(threat.status, Status)
    assert_type(threat.metadata, dict[str, Any])
    assert_type(MOVES[threat.status], tuple[Status, ...])
    assert_type(await service.update_threat_status(threat.id, Status.INVESTIGATING), Threat)
    assert_type(await service.list_threats(status=["OPEN", Status.INVESTIGATING]), list[Threat])
    assert_type(await service.get_stats(), ThreatStats)
    brain.threats.set_event_stream(Silent())
    brain.threats.set_store(None)
    made = await brain.threats.create_threat(type="scan", source="10.0.0.8", severity=Severity.LOW)
    assert_type(made, Threat)
    assert_type(await brain.threats.get_threat(made.id), Threat)
    assert_type(await brain.threats.list_threats(limit=1), list[Threat])
    assert_type((await brain.threats.get_stats()).mttm_seconds, float | None)
    brain.threats.set_event_stream(None)
    with pytest.raises(Conflict):
        await service.update_threat_status(threat.id, "RESOLVED")


async def test_health() -> None:
    service = ImmuneService(event_stream=RecordingStream())
    reported = HealthEvent(
        severity="WARNING", kind=HealthKind.ERROR_SPIKE, module="orders", message="12 errors a minute"
    )
    later = HealthEvent("CRITICAL", "AGENT_FAILURE", "orders", "gone", {"pid": 7}, timestamp=1.0)
    assert_type(later.timestamp, float)
    assert_type(reported.severity, HealthSeverity)
    assert_type(reported.kind, HealthKind)
    assert_type(await service.publish_event(reported), int)
    summary = service.health_summary(minutes=60)
    assert_type(summary, HealthSummary)
    assert_type(summary.status, HealthStatus)
    assert_type(summary.reasons, tuple[Reason, ...])
    assert_type(service.get_recent_events(severity="WARNING"), list[HealthEvent])
    assert summary.status is not HealthStatus.NO_DATA


def test_doubles_and_declarations(recording_stream: RecordingStream) -> None:
    recording_stream.publish(make_event("threat.detected"))
    assert_type(recording_stream.get_events_by_type("threat.detected"), list[Event])
    assert_type(recording_stream.events, Sequence[Event])
    assert_type(catalogue(), Mapping[str, EventType[Any]])
    assert_type(REFUSED, EventType[Refusal])
    assert_type(Pattern("a.*").matches("a.b"), bool)
    assert len(one_of_each()) == len(catalogue())


def test_an_inbox_and_a_store() -> None:
    connection = sqlite3.connect(":memory:")
    inbox = Inbox(connection, consumer="ledger")
    event = Event(type="a.b", source="c_service", payload={})
    with connection, inbox.once(event) as fresh:
        assert_type(fresh, bool)
        assert fresh
    store = open_store("memory://")
    assert_type(store, Store)
    store.close()


@pytest.mark.parametrize("answer", ["wait", "raise"])
def test_errors_are_one_tree(answer: Literal["wait", "raise"]) -> None:
    Guard(PolicyEngine(), on_approval=answer)
    faults: list[str] = []
    try:
        Rule(id="", name="", effect="NEVER")
    except InvalidInput as error:
        assert_type(error.faults, tuple[str, ...])
        faults += error.faults
    assert len(faults) == 2
    assert issubclass(NotFound, BrainError)
    with pytest.raises(EnvelopeError):
        Event(type="A", source="c_service", payload={})
