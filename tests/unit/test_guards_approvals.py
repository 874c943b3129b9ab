"""What a person approved is what runs."""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brain.errors import InvalidInput
from brain.policy import ActionDenied, ApprovalRequired, Condition, Guard, PolicyEngine, Rule
from brain.policy.approvals import COLLECTION, Approval, ApprovalStatus, fingerprint
from brain.store import open_store
from brain.testing import RecordingStream
from support.waiting import wait_until

AGENT = {"agent_id": "a1", "agent_role": "support"}


@pytest.fixture
def engine() -> Iterator[PolicyEngine]:
    with PolicyEngine(RecordingStream()) as engine:
        rule = Rule(id="ask", name="ask", effect="AUDIT", conditions=[], metadata={"requires_approval": True})
        engine.add_rule(rule)
        yield engine


@contextmanager
def person(engine: PolicyEngine, before_answer: Callable[[], object] = lambda: None) -> Iterator[list[Approval]]:
    """Grants the next request, after `before_answer`."""
    seen: list[Approval] = []

    def answer() -> None:
        wait_until(lambda: bool(engine.approvals.list("PENDING")))
        seen.extend(engine.approvals.list("PENDING"))
        before_answer()
        engine.approvals.grant(seen[0].id, by="ann")

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield seen
    finally:
        thread.join()


def pay(items: list[Any], note: str = "") -> list[Any]:
    return list(items)


async def pay_async(items: list[Any], note: str = "") -> list[Any]:
    return list(items)


def run(guard: Guard, way: str, items: list[Any]) -> list[Any]:
    if way == "plain":
        return guard("pay")(pay)(items)
    return asyncio.run(guard("pay")(pay_async)(items))


@pytest.mark.parametrize("way", ["plain", "async"])
def test_an_argument_that_changes_meanwhile_is_a_denial(engine: PolicyEngine, way: str) -> None:
    guard = Guard(engine, agent=AGENT)
    items: list[Any] = [1, {"to": ["ann"]}]
    with (
        person(engine, lambda: items[1]["to"].append("mallory")) as asked,
        pytest.raises(ActionDenied, match=r"params\.items changed after a person was asked") as denied,
    ):
        run(guard, way, items)
    assert asked[0].context["params"] == {"items": [1, {"to": ["ann"]}], "note": ""}
    assert denied.value.approval is not None
    assert engine.approvals.get(asked[0].id).status is ApprovalStatus.GRANTED, "not used"
    with person(engine):
        assert run(guard, way, items) == [1, {"to": ["ann", "mallory"]}]


def test_an_agent_that_changes_meanwhile_is_a_denial(engine: PolicyEngine) -> None:
    who = dict(AGENT)
    with (
        person(engine, lambda: who.update(agent_role="guest")),
        pytest.raises(ActionDenied, match="agent_role changed after"),
    ):
        Guard(engine, agent=who)("pay")(pay)([])


def test_check_compares_too(engine: PolicyEngine) -> None:
    params: dict[str, Any] = {"amount": 5}
    with (
        person(engine, lambda: params.update(amount=900)),
        pytest.raises(ActionDenied, match=r"params\.amount changed"),
    ):
        Guard(engine, agent=AGENT).check("pay", None, params)
    with person(engine, lambda: params.update(more=1)), pytest.raises(ActionDenied, match=r"params\.more changed"):
        asyncio.run(Guard(engine, agent=AGENT).check_async("pay", None, params))


def test_the_rules_are_asked_again_with_the_environment_of_then(engine: PolicyEngine) -> None:
    night = [Condition("environment.hour", ">", 20)]
    engine.add_rule(Rule(id="night", name="Not at night", effect="DENY", conditions=night, priority=5))
    hours = iter([12, 13, 14, 12, 21])
    guard = Guard(engine, agent=AGENT, environment=lambda: {"hour": next(hours)})
    with person(engine):
        assert guard("pay")(pay)([1]) == [1]
    with person(engine), pytest.raises(ActionDenied, match="Not at night"):
        guard("pay")(pay)([1])


def test_the_fingerprint_is_of_the_whole_context() -> None:
    base = {**AGENT, "action": "pay", "resource": "r", "params": {"amount": 1}, "environment": {"zone": "eu"}}
    others: list[dict[str, Any]] = [
        {"environment": {"zone": "us"}},
        {"environment": {}},
        {"tenant": "t1"},
        {"agent_id": "a2"},
        *(
            {"params": {"amount": each}}
            for each in (1.5, True, "1", None, math.inf, -math.inf, math.nan, [1], {"1": 1})
        ),
        *({"params": {"amount": each}} for each in (2**70, 2**70 + 1, 10**5000, Fraction(1, 3), Fraction(2, 3))),
        {"params": {"amount": Decimal("1.00000000000000000000000001")}},
        {"params": {"amount": 1, "other": None}},
    ]
    prints = [fingerprint(base | other) for other in ({}, *others)]
    assert len(set(prints)) == len(prints)
    assert fingerprint(dict(reversed(base.items()))) == prints[0]
    assert fingerprint(base | {"params": {"amount": math.nan}}) == fingerprint(base | {"params": {"amount": -math.nan}})


def test_a_repeated_call_is_the_same_only_in_the_same_environment(engine: PolicyEngine) -> None:
    zone = {"zone": "eu"}
    guarded = Guard(engine, agent=AGENT, environment=zone, on_approval="raise")("pay")(pay)
    with pytest.raises(ApprovalRequired) as asked:
        guarded([math.inf])
    assert asked.value.approval.context["params"]["items"] == ["inf"], "a person sees it"
    engine.approvals.grant(asked.value.approval.id, by="ann")
    zone["zone"] = "us"
    for items in ([math.inf], [None]):
        with pytest.raises(ApprovalRequired):
            guarded(items)
    zone["zone"] = "eu"
    with pytest.raises(ApprovalRequired):
        guarded([None])
    assert guarded([math.inf]) == [math.inf]
    with pytest.raises(ApprovalRequired):
        guarded([math.inf])


@pytest.mark.parametrize("waiting", ["wait", "raise"])
def test_what_can_only_be_shown_cannot_be_approved(engine: PolicyEngine, waiting: Any) -> None:
    class Handle:
        def __repr__(self) -> str:
            return "<a handle>"

    guard = Guard(engine, agent=AGENT, on_approval=waiting)
    with pytest.raises(ActionDenied, match=r"params\.items\.1\.file: <a handle> can only be shown"):
        guard("pay")(pay)([1, {"file": Handle()}])
    with pytest.raises(ActionDenied, match=r"params\.items\.0: <a handle> can only be shown"):
        asyncio.run(guard("pay")(pay_async)([Handle()]))
    with pytest.raises(ActionDenied, match="tenant: <a handle> can only be shown"):
        guard("pay", agent=lambda items: {**AGENT, "tenant": Handle()})(pay)([])
    assert not engine.approvals.list()
    with pytest.raises(InvalidInput, match=r"params\.x: <a handle> can only be shown"):
        engine.approvals.request(engine.evaluate(AGENT), {**AGENT, "params": {"x": Handle()}})


def test_big_and_exact_numbers_are_shown_to_the_person(engine: PolicyEngine) -> None:
    guard = Guard(engine, agent=AGENT, on_approval="raise")
    items = [2**70, 10**5000, Fraction(1, 3), Decimal("0.1000000000000000000000001"), math.nan, 5, 0.5, True]
    with pytest.raises(ApprovalRequired) as asked:
        guard("pay")(pay)(items)
    shown = engine.approvals.get(asked.value.approval.id).context["params"]["items"]
    assert shown == [str(2**70), f"int:{10**5000:x}", "1/3", "0.1000000000000000000000001", "nan", 5, 0.5, True]


def test_approvals_of_the_version_before_can_be_read_and_answered(tmp_path: Path) -> None:
    old = {
        "id": "apr_1700000000000_0123456789ab",
        "status": "PENDING",
        "context": {**AGENT, "action": "pay", "params": {"n": 1}, "environment": {}},
        "fingerprint": "5f1b",
        "rule_id": "ask",
        "rule_name": "ask",
        "reason": "audited by rule 'ask'",
        "requested_at": 1_700_000_000.0,
        "expires_at": 4_000_000_000.0,
        "answered_by": None,
        "answer": None,
        "answered_at": None,
    }
    store = open_store(f"sqlite:///{tmp_path}/brain.db")
    try:
        store.put(COLLECTION, str(old["id"]), msgspec.json.encode(old), expected=0)
        with PolicyEngine(store=store, follow_interval=None) as engine:
            assert [one.id for one in engine.approvals.list("PENDING")] == [old["id"]]
            assert engine.approvals.grant(str(old["id"]), by="ann").status is ApprovalStatus.GRANTED
            assert engine.approvals.use(str(old["id"]))
    finally:
        store.close()


def wrapper_of(tool: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(tool)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return tool(*args, **kwargs)

    return wrapper


class Tool:
    async def __call__(self, items: list[Any]) -> list[Any]:
        return list(items)


ASYNC_TOOLS: dict[str, Callable[..., Any]] = {
    "function": pay_async,
    "partial": functools.partial(pay_async, note="x"),
    "partial of partial": functools.partial(functools.partial(pay_async), note="x"),
    "object": Tool(),
    "partial of object": functools.partial(Tool()),
    "wrapper": wrapper_of(pay_async),
    "partial of wrapper": functools.partial(wrapper_of(pay_async)),
    "wrapper of partial": wrapper_of(functools.partial(pay_async)),
}


@pytest.mark.parametrize("name", ASYNC_TOOLS)
async def test_an_async_tool_in_whatever_wrapping_waits_without_blocking(engine: PolicyEngine, name: str) -> None:
    guarded = Guard(engine, agent=AGENT).tool(ASYNC_TOOLS[name], name="pay")
    task = asyncio.ensure_future(guarded([1]))
    while not (asked := engine.approvals.list("PENDING")):
        await asyncio.sleep(0)
    engine.approvals.grant(asked[0].id, by="ann")
    assert await task == [1]


@pytest.mark.parametrize(("field", "most"), [("by", 200), ("reason", 10_000)])
def test_an_answer_beyond_its_bounds_is_refused_and_the_request_stays_open(
    engine: PolicyEngine, field: str, most: int
) -> None:
    with pytest.raises(ApprovalRequired) as asked:
        Guard(engine, agent=AGENT, on_approval="raise").tool(lambda note: note, name="pay")("x")
    found = asked.value.approval.id
    for answer in (engine.approvals.grant, engine.approvals.refuse):
        with pytest.raises(InvalidInput, match=f"{field}: {most + 1:,} characters are more than the {most:,} allowed"):
            answer(found, **{"by": "ann", field: "x" * (most + 1)})
    assert engine.approvals.get(found).status is ApprovalStatus.PENDING
    assert engine.approvals.grant(found, **{"by": "ann", field: "x" * most}).status is ApprovalStatus.GRANTED


async def test_a_plain_function_in_an_event_loop_raises_instead_of_waiting(engine: PolicyEngine) -> None:
    guard = Guard(engine, agent=AGENT)
    guarded = guard("pay")(lambda items: pay_async(items))
    with pytest.raises(ApprovalRequired, match="repeat the call after the answer") as asked:
        guarded([1])
    with pytest.raises(ApprovalRequired):
        guard.check("pay", None, {"items": [1]})
    engine.approvals.grant(asked.value.approval.id, by="ann")
    assert await guarded([1]) == [1]
    with pytest.raises(ApprovalRequired):
        guarded([1])
